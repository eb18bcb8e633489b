"""What a model folder says of itself, gathered: from the plan of its fits, what they gave, and the cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np
import optuna

from data_prep.arrays import IntArray
from data_prep.imprints import imprints_of
from data_prep.labels import Head, LabelDefinition
from data_prep.patch_set import PatchRequest
from data_prep.repeats import second_scans
from search.deployment.crossfit import Crossfit
from search.deployment.facts import (
    LabelFacts,
    MemberEntry,
    ModelFacts,
    OutOfFold,
    SeenParticipant,
    TrainingFacts,
)
from search.deployment.plan import RefitPlan
from search.deployment.reference_facts import ReferenceFacts
from search.deployment.unlike import facts_of_reference, fit_reference
from search.domains import Value
from search.home import Home
from search.judgement import UNJUDGED, judgement
from search.refits.chosen import NAMED
from search.refits.ledger import FitLedger
from search.versions import software_versions

Progress = Callable[[int, int], None]


def describe_model(
    plan: RefitPlan,
    ledger: FitLedger,
    recorded: optuna.Study,
    home: Home,
    fitted: Crossfit,
    name: str,
    members: tuple[MemberEntry, ...],
    progress: Progress | None = None,
) -> ModelFacts:
    """The facts of a model that has neither a version nor files yet.

    Args:
        plan: Its fits were run.
        ledger: Has what they gave.
        recorded: What Optuna has of the study.
        home: Where it is.
        fitted: The ensembles.
        name: Of the model.
        members: The folders that it will have.
        progress: Called with participants done and in all while their images are read.

    Raises:
        InputError: An image cannot be read any more.
    """
    material = plan.material
    train, whole = plan.learned, np.array(plan.final[0][0].train, dtype=np.int64)
    heads, patches = material.labels.heads(whole), material.patches
    present, voxel_mm = patches.present[train], patches.voxel_mm[train]
    return ModelFacts(
        name=name,
        version=None,
        created="",
        study=plan.study.name,
        study_id=recorded.user_attrs.get("id"),
        rule=plan.rule,
        metric=plan.study.search.metric,
        trials=plan.trials,
        configurations=tuple(_without_places(config.settings) for config in plan.configs),
        epochs=plan.epochs,
        task="regression" if material.labels.definition.is_regression else "classification",
        labels=tuple(
            _label(material.labels.definition, head, float(threshold), metrics)
            for head, threshold, metrics in zip(
                heads, fitted.ensemble.thresholds, fitted.metrics, strict=True
            )
        ),
        request=_request(plan),
        needed=tuple(name for name, has in zip(patches.sequences, present.T, strict=True) if has.all()),
        missing=material.missing,
        voxel_mm=(float(voxel_mm.min()), float(voxel_mm.max())),
        members=members,
        ensemble=fitted.ensemble,
        fold_ensembles=fitted.folds if plan.folds else (),
        fold_references=tuple(_references(plan, train)) if plan.folds else (),
        participants=_participants(plan, progress),
        training=_training(plan, heads[0], train),
        honest=_honest(plan, recorded, home),
        software=software_versions(),
        device=_device(plan, ledger),
    )


def _label(definition: LabelDefinition, head: Head, threshold: float, metrics: OutOfFold) -> LabelFacts:
    whose = "the whole cohort" if definition.threshold_from == "cohort" else "the training biopsies"
    source = "fixed beforehand" if definition.is_fixed else f"by the rule '{definition.rule}' from {whose}"
    unit = _unit(definition)
    what = (
        f"{head.name} above {head.threshold:.4g} ({unit}); the cut was {'' if source[0] == 'f' else 'drawn '}"
    )
    return LabelFacts(head.name, what + source, float(head.threshold), unit, threshold, metrics)


def _unit(definition: LabelDefinition) -> str:
    """Of the score of each label."""
    if definition.column is not None:
        return f"the unit of {definition.column}"
    return "mean z-score of log2(TPM + 1)" if definition.z_scores else "TPM"


def _request(plan: RefitPlan) -> PatchRequest:
    """What the members read, without the room that augmentation needs."""
    largest = max(int(config.settings.get("patch_radius", 1)) for config in plan.configs)
    return replace(plan.material.patches.request, radius=largest)


def _participants(plan: RefitPlan, progress: Progress | None) -> tuple[SeenParticipant, ...]:
    """Everybody whom a member learned from, in an order that tells nothing.

    Second scans are theirs too, whether members learned from them or not: the sites are the same.
    """
    source, patches = plan.material.source, plan.material.patches
    scans = [source, again] if (again := second_scans(source)) is not None else [source]
    fold = dict(zip(patches.participant_id, plan.material.folds.fold[0].tolist(), strict=True))
    found = []
    for done, (name, number) in enumerate(fold.items()):
        if progress is not None:
            progress(done, len(fold))
        imprints: set[str] = set()
        for scan in scans:
            biopsies = [one for one in scan.biopsies if one.participant_id == name]
            imprints |= set(imprints_of(scan, biopsies, patches.sequences))
        found.append(SeenParticipant(tuple(sorted(imprints)), number))
    if progress is not None:
        progress(len(fold), len(fold))
    return tuple(sorted(found, key=lambda one: one.imprints))


def _references(plan: RefitPlan, train: IntArray) -> Iterator[ReferenceFacts]:
    """Of each fold the training patches without its biopsies."""
    material, radius = plan.material, _request(plan).radius
    for split in plan.splits:
        rows = train[material.folds.fold[0][train] != split.fold]
        yield facts_of_reference(fit_reference(material.patches, rows, radius, material.missing))


def _training(plan: RefitPlan, head: Head, train: IntArray) -> TrainingFacts:
    material = plan.material
    return TrainingFacts(
        cohort=material.cohort,
        participants=len({material.patches.participant_id[row] for row in train}),
        biopsies=len(train),
        positive=int((head.label[train] == 1).sum()),
        patches=material.patches.hash,
        labels=material.labels_hash,
        folds=material.folds.hash,
        context=plan.context,
    )


def _honest(plan: RefitPlan, recorded: optuna.Study, home: Home) -> dict[str, Any]:
    """The honest estimate of what the study selects, which is none of a trial that somebody named."""
    if plan.rule == NAMED:
        return {**UNJUDGED, "reason": "the trial was named: the estimate is of what the study's rule selects"}
    _, honest = judgement(recorded, home)
    permutation = honest.get("permutation")
    if isinstance(permutation, Mapping) and "problem" in permutation:  # it names a file of this machine
        return {**honest, "permutation": None}
    return honest


def _device(plan: RefitPlan, ledger: FitLedger) -> str:
    results = (ledger.result(fit) for fits in plan.final for fit in fits)
    return ", ".join(sorted({result.device for result in results if result is not None}))


def _without_places(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Settings fit to leave this machine: of the file of weights that training began with, the name."""
    told = dict(settings)
    if "weights" in told:
        told["weights"] = PurePath(str(told["weights"])).name
    return told
