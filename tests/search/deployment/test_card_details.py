"""What a model is and reads, as its card has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_prep.patch_set import PatchRequest
from search.deployment.card_details import details, provenance, use
from tests.search.deployment.facts_by_hand import SEQUENCES, make_facts


def test_the_members_and_their_configurations_are_counted() -> None:
    text = "\n".join(details(make_facts()))
    assert "trials 4 and 11 (selected by rank-average)" in text
    assert "3 members learned from all biopsies" in text
    assert "6 others learned without one of 3 folds each" in text
    assert "| 4 | small\\_cnn | 2 | 12 |" in text
    assert "| 11 | roi\\_means | 1 | - |" in text
    assert "the mean rank is calibrated" in text


def test_a_single_configuration_without_folds_is_said_to_be_one() -> None:
    facts = make_facts()
    single = replace(
        facts,
        trials=(4,),
        configurations=facts.configurations[:1],
        epochs=(12,),
        rule="named",
        fold_ensembles=(),
        members=facts.members[:2],
    )
    text = "\n".join(details(single))
    assert "trial 4 (named by hand)" in text
    assert "no members of the folds" in text
    assert "its own score" not in text
    assert "Its score is calibrated" in text


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (PatchRequest(SEQUENCES, 8), "17 x 17 voxels (radius 8), voxels the image's own, 0.5 to 1 mm"),
        (PatchRequest(SEQUENCES, 3, spacing_mm=1.5), "7 x 7 voxels (radius 3), voxels resampled to 1.5 mm"),
        (PatchRequest(SEQUENCES, 3, 3, slice_mm=4.0), "Slices: 3, 4 mm apart"),
        (PatchRequest(SEQUENCES, 3, resample_to="T1Gd"), "resampled to that of T1Gd"),
        (PatchRequest(SEQUENCES, 3, normalisation=("none", "nyul", "zscore", "robust")), "T1 (nyul), T1Gd"),
    ],
)
def test_what_it_is_shown_is_told(request_: PatchRequest, words: str) -> None:
    assert words in "\n".join(details(make_facts(request=request_)))


def test_voxels_of_one_size_are_told_once() -> None:
    assert "the image's own, 1 mm in the plane" in "\n".join(details(make_facts(voxel_mm=(1.0, 1.0))))


@pytest.mark.parametrize("missing", ["drop", "zero", "mask", "mean"])
def test_what_becomes_of_absent_sequences_is_told(missing: str) -> None:
    text = "\n".join(details(make_facts(missing=missing)))
    assert "Needed, or nothing is said of a place: FA and T2; of other sequences, " in text
    assert missing not in text.split("of other sequences")[1].split()[:2]


def test_the_label_has_its_cut_unit_and_threshold() -> None:
    text = "\n".join(use(make_facts()))
    assert "| CD3D | CD3D above 1.03 (TPM); the cut was fixed beforehand | 1.03 TPM | 0.450 |" in text
    assert "Out of scope: diagnosis" in text


def test_hashes_and_versions_are_there_and_of_weights_the_name_alone() -> None:
    facts = make_facts()
    told = "\n".join(provenance(facts))
    assert all(f"| {name} |" in told for name in ("aa", "bb", "cc", "dd"))
    assert "radsearch 1.2" in told
    assert "made from the training data alone" in told
    begun = make_facts(
        configurations=(
            {"architecture": "resnet50", "weights": "/home/somebody/x.keras"},
            {"architecture": "resnet50", "weights": "imagenet"},
        )
    )
    text = "\n".join([*provenance(begun), *details(begun)])
    assert "(x.keras and imagenet)" in text
    assert "somebody" not in text
