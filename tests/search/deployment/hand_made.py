"""A model folder made by hand: shallow members on drawn patches, without a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.features import FeatureTable
from data_prep.features.extract import features_of
from data_prep.fold_input import fit_input
from data_prep.patch_set import PatchSet
from data_prep.saved_input import write_input
from models.saved_baseline import write_baselines
from models.shallow import fit_baseline
from models.spec import BaselineSpec
from search.deployment.ensemble import fit_ensemble, log_odds
from search.deployment.facts import FILE, LabelFacts, MemberEntry, ModelFacts, OutOfFold
from search.deployment.member import Member, MemberFacts, write_member
from search.deployment.model import Model, hashes_of
from search.deployment.records import Shown
from search.deployment.unlike import fit_reference, write_reference
from search.fold import BASELINE, INPUT
from tests.search.deployment.test_facts import model_facts
from tests.search.deployment.test_unlike import RADIUS, patch_set

CONFIGURATIONS = (("roi_means", "forest", 2), ("roi_means", "logistic", 2), ("missingness", "logistic", 1))
SEEDS = 2


def sample(n: int, seed: int = 1, present: np.ndarray | None = None) -> PatchSet:
    """Patches of new participants."""
    return patch_set(seed, n=n, present=present)


def where(n: int, seed: int = 0) -> FeatureTable:
    """Locations of n places."""
    return FeatureTable(np.random.default_rng(seed).random((n, 3)), ("right", "anterior", "superior"))


def training(seed: int = 0, n: int = 40, always: Sequence[int] = (0, 1)) -> PatchSet:
    """Patches of which some lack a sequence; those of `always` are there always."""
    present = np.random.default_rng(seed).random((n, 3)) < 0.7
    present[:, list(always)] = True
    return patch_set(seed, n=n, present=present)


def made(
    folder: Path,
    task: str = "classification",
    labels: int = 1,
    configurations: Sequence[tuple[str, str, int]] = CONFIGURATIONS,
    patches: PatchSet | None = None,
) -> Model:
    """Write a model of some configurations (features, model, radius), each with two seeds; unsealed."""
    patches = training() if patches is None else patches
    rows, names = np.arange(len(patches)), tuple(f"gene{k}" for k in range(labels))
    score = patches.raw[..., 0].mean(axis=(1, 2)).astype(np.float64)
    targets = np.stack([(score > cut).astype(np.int64) for cut in np.linspace(-0.3, 0.3, labels)], axis=1)
    shown, entries, said = Shown(patches, where(len(patches))), [], []
    for c, one in enumerate(configurations):
        for s in range(SEEDS):
            place = f"members/{c}-{s}"
            learned = targets if task == "classification" else score[:, None] + np.arange(labels)
            _write(folder / place, one, s, patches, learned, names, task)
            entries.append(MemberEntry(place, c, s, None, "f" * 32))
            answer = Member.open(folder / place).say(shown)
            if s == 0:
                said.append(log_odds(answer.probability) if answer.value is None else answer.value)
    noise = np.random.default_rng(9).normal(size=(len(patches), len(said), labels))
    ensemble = fit_ensemble(np.stack(said, axis=1) + noise, targets, names)
    write_reference(fit_reference(patches, rows, RADIUS, "mask"), folder)
    thresholds = ensemble.thresholds.tolist()
    facts = model_facts(
        trials=tuple(range(len(configurations))),
        configurations=tuple({"architecture": f"{a}_{b}", "patch_radius": r} for a, b, r in configurations),
        epochs=(None,) * len(configurations),
        task=task,
        labels=tuple(
            LabelFacts(name, name, 1.0, "TPM", t, OutOfFold(40, 20, 0.7, 0.2))
            for name, t in zip(names, thresholds, strict=True)
        ),
        request=replace(patches.request, radius=RADIUS),
        needed=tuple(np.array(patches.sequences)[patches.present.all(axis=0)].tolist()),
        members=tuple(entries),
        ensemble=ensemble,
        fold_ensembles=(),
        fold_references=(),
        files={},
    )
    return Model(folder, facts)


def seal(model: Model) -> ModelFacts:
    """Write the model.json of a folder."""
    facts = replace(model.facts, files=hashes_of(model.folder))
    (model.folder / FILE).write_text(facts.to_json(), encoding="utf-8")
    return facts


def _write(
    folder: Path,
    configuration: tuple[str, str, int],
    seed: int,
    patches: PatchSet,
    learned: np.ndarray,
    names: tuple[str, ...],
    task: str,
) -> None:
    features, model, radius = configuration
    view = fit_input(patches, np.arange(len(patches)), radius, "mask")
    table = features_of(features, view.normalised(patches), radius, where(len(patches)))
    spec: Any = BaselineSpec(model=model, task=task, forest_trees=10)
    participant = np.arange(len(patches)) // 4
    mean, sd = learned.mean(axis=0), learned.std(axis=0)
    if task == "classification":
        mean, sd = np.zeros(len(names)), np.ones(len(names))
    fitted = [
        fit_baseline(
            spec,
            table.values,
            (learned[:, k] - mean[k]) / sd[k] if task == "regression" else learned[:, k],
            participant,
            seed,
        )
        for k in range(len(names))
    ]
    facts = MemberFacts(
        architecture=f"{features}_{model}",
        settings={"architecture": f"{features}_{model}", "patch_radius": radius},
        seed=seed,
        kind="baseline",
        features=features,
        radius=radius,
        labels=names,
        task=task,
        parameters=1,
        epochs=0,
        mean=tuple(mean.tolist()),
        sd=tuple(sd.tolist()),
        cuts=(0.0,) * len(names) if task == "regression" else (0.5,) * len(names),
        calibration=((1.8, 0.1),) * len(names) if task == "regression" else (),
        context="c",
    )

    def write(partial: Path) -> None:
        write_input(view, partial / INPUT)
        write_baselines(fitted, partial / BASELINE)

    write_member(folder, facts, write)
