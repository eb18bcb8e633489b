"""What a model folder says of itself is what it was made of."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.imprints import imprints_of
from data_prep.label_rules import LabelDefinition
from data_prep.labels import label_biopsies
from search.deployment.crossfit import crossfit
from search.deployment.describing import describe_model
from search.deployment.facts import ModelFacts
from search.deployment.model import Model
from search.deployment.seen import folds_of
from search.judgement import judgement
from search.records import TrialConfig
from tests.search.deployment.conftest import Refitted


@pytest.fixture
def facts(model_folder: Path) -> ModelFacts:
    """Of the model of `refitted`."""
    return Model.open(model_folder).facts


def described(refitted: Refitted, **changes: object) -> ModelFacts:
    """The facts of a plan that is changed in some way."""
    plan = replace(refitted.plan, **changes)  # type: ignore[arg-type]
    with refitted.ledger() as ledger:
        fitted = crossfit(refitted.plan, ledger)
        return describe_model(plan, ledger, refitted.recorded, refitted.home, fitted, "m", ())


def test_it_names_study_trials_and_settings(refitted: Refitted, facts: ModelFacts) -> None:
    plan = refitted.plan
    assert (facts.study, facts.study_id) == ("shallow", refitted.recorded.user_attrs["id"])
    assert (facts.rule, facts.metric, facts.trials) == ("rank-average", "roc_auc", plan.trials)
    assert facts.configurations == tuple(config.settings for config in plan.configs)
    assert facts.training.context == plan.context
    assert facts.device == "CPU x1"
    assert facts.software["python"].startswith("3.")


def test_each_participant_is_known_by_their_images_with_the_fold_that_held_them_out(
    refitted: Refitted, facts: ModelFacts
) -> None:
    cohort, material = read_cohort(refitted.cohort), refitted.material
    fold = dict(zip(material.patches.participant_id, material.folds.fold[0], strict=True))
    expected = {
        imprints_of(cohort, [b for b in cohort.biopsies if b.participant_id == name], cohort.sequences): fold[
            name
        ]
        for name in cohort.participants
    }
    assert {one.imprints: one.fold for one in facts.participants} == expected
    assert len(expected) == len(cohort.participants) == 12
    imprints = [one.imprints for one in facts.participants]
    assert imprints == sorted(imprints)


def test_participants_are_known_by_their_second_scans_too(refitted: Refitted, tmp_path: Path) -> None:
    again, cohort = tmp_path / "again", Path(shutil.copytree(refitted.cohort, tmp_path / "cohort"))
    shutil.copytree(refitted.cohort, again)
    for path in again.glob("sub-00[0-4]/*.nii.gz"):
        image = nibabel.load(path)  # type: ignore[attr-defined]
        data = image.get_fdata() + np.random.default_rng(0).normal(size=image.shape)  # type: ignore[attr-defined]
        nibabel.save(nibabel.Nifti1Image(data.astype(np.float32), image.affine), path)  # type: ignore[attr-defined]
        place = cohort / path.parent.name / "again"
        place.mkdir(exist_ok=True)
        shutil.copy(path, place)
    with (cohort / "cohort.toml").open("a") as file:
        file.write('\n[repeats]\nimages = "{participant_id}/again/{sequence}.nii.gz"\n')
    material = replace(refitted.material, source=read_cohort(cohort))
    facts = described(refitted, material=material)
    fold = dict(zip(material.patches.participant_id, material.folds.fold[0], strict=True))
    for folder in (refitted.cohort, again):
        asked = read_cohort(folder)
        found = folds_of(Model(tmp_path, facts), asked, asked.participants)
        assert found == {who: fold[who] for who in asked.participants}
    sizes = [len(one.imprints) for one in facts.participants]
    assert sorted(set(sizes)) == [3, 6]
    assert sizes.count(6) == 5


def test_it_asks_for_patches_as_large_as_the_largest_member_reads(
    refitted: Refitted, facts: ModelFacts
) -> None:
    radii = [int(config.settings.get("patch_radius", 1)) for config in refitted.plan.configs]
    assert facts.request == replace(refitted.material.patches.request, radius=max(radii))
    assert facts.request.radius < refitted.material.patches.radius
    assert (facts.needed, facts.missing) == (("T1", "T1Gd", "T2"), "mask")
    assert facts.voxel_mm == (1.0, 1.0)


def test_counts_and_hashes_are_those_of_the_training_set(refitted: Refitted, facts: ModelFacts) -> None:
    material, training = refitted.material, facts.training
    assert (training.participants, training.biopsies) == (12, 36)
    assert training.positive == material.labels.label.sum()
    assert training.patches == material.patches.hash
    assert (training.labels, training.folds) == (material.labels_hash, material.folds.hash)


def test_the_honest_estimate_is_the_studys_and_none_of_a_named_trial(
    refitted: Refitted, facts: ModelFacts
) -> None:
    _, honest = judgement(refitted.recorded, refitted.home)
    assert facts.honest["estimate"] == honest["estimate"] is not None
    named = described(refitted, rule="named").honest
    assert named["estimate"] is None
    assert named["reason"].startswith("the trial was named")


def test_a_permutation_test_that_cannot_be_read_names_no_file(
    refitted: Refitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"estimate": 0.6, "permutation": {"problem": "/home/me/permutation.json: broken"}}
    monkeypatch.setattr("search.deployment.describing.judgement", lambda *_: ({}, told))
    assert described(refitted).honest == {"estimate": 0.6, "permutation": None}


def test_of_a_file_of_weights_the_name_alone_is_told(refitted: Refitted) -> None:
    configs = tuple(
        TrialConfig({**config.settings, "weights": "/home/me/weights.h5"}, config.seed)
        for config in refitted.plan.configs
    )
    told = described(refitted, configs=configs).configurations
    assert {settings["weights"] for settings in told} == {"weights.h5"}


@pytest.mark.parametrize(
    ("definition", "unit", "words"),
    [
        (
            LabelDefinition(("CD3D",), "above:1.03"),
            "TPM",
            "CD3D above 1.03 (TPM); the cut was fixed beforehand",
        ),
        (
            LabelDefinition(("CD3D",), threshold_from="training"),
            "TPM",
            "(TPM); the cut was drawn by the rule 'above-median' from the training biopsies",
        ),
        (
            LabelDefinition(("CD3D", "CD3E")),
            "mean z-score of log2(TPM + 1)",
            "CD3D+CD3E above -0.2342 (mean z-score of log2(TPM + 1)); the cut was drawn by",
        ),
        (
            LabelDefinition(("CD3D", "CD3E"), "above-quantile:0.6", combine="multi-label"),
            "TPM",
            "'above-quantile:0.6' from the whole cohort",
        ),
        (
            LabelDefinition(column="x", rule="log-tpm:0"),
            "the unit of x",
            "x above 0 (the unit of x); the cut was fi",
        ),
    ],
)
def test_labels_are_told_in_words(
    refitted: Refitted, definition: LabelDefinition, unit: str, words: str
) -> None:
    labels = label_biopsies(read_cohort(refitted.cohort), definition)
    material = replace(refitted.material, labels=labels)
    with refitted.ledger() as ledger:
        fitted = crossfit(refitted.plan, ledger)
        count = len(definition.heads)
        fitted = replace(
            fitted,
            ensemble=replace(fitted.ensemble, heads=fitted.ensemble.heads * count),
            metrics=fitted.metrics * count,
        )
        plan = replace(refitted.plan, material=material)
        told = describe_model(plan, ledger, refitted.recorded, refitted.home, fitted, "m", ()).labels
    heads = labels.heads(np.arange(36))
    assert [(one.name, one.cut) for one in told] == [(head.name, head.threshold) for head in heads]
    assert {one.unit for one in told} == {unit}
    assert words in told[0].definition
