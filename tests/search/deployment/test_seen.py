from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.cohort import read_cohort
from data_prep.imprints import imprints_of
from data_prep.problems import InputError
from search.deployment.facts import SeenParticipant
from search.deployment.model import Model
from search.deployment.seen import check_folds, folds_of
from tests.search.deployment.facts_by_hand import make_facts


@pytest.fixture
def model(cohort_folder: Path) -> Model:
    """One that learned from the first three of four participants."""
    cohort = read_cohort(cohort_folder)
    facts = make_facts(needed=())
    seen = []
    for fold, who in enumerate(cohort.participants[:3]):
        biopsies = [one for one in cohort.biopsies if one.participant_id == who]
        seen.append(SeenParticipant(imprints_of(cohort, biopsies, facts.request.sequences), fold))
    return Model(Path("models/toy/1"), replace(facts, participants=tuple(seen)))


def test_participants_are_known_again_by_their_images(model: Model, cohort_folder: Path) -> None:
    cohort, done = read_cohort(cohort_folder), []
    found = folds_of(model, cohort, cohort.participants, lambda *step: done.append(step))
    assert found == {"sub-000": 0, "sub-001": 1, "sub-002": 2, "sub-003": None}
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_another_name_does_not_hide_a_participant(model: Model, cohort_folder: Path) -> None:
    (cohort_folder / "sub-001").rename(cohort_folder / "other")
    table = cohort_folder / "biopsies.tsv"
    table.write_text(table.read_text().replace("sub-001", "other"))
    for path in (cohort_folder / "sub-000").glob("T2*"):  # one image is enough
        path.unlink()
    cohort = read_cohort(cohort_folder)
    assert folds_of(model, cohort, ("other", "sub-000")) == {"other": 1, "sub-000": 0}


def test_images_of_two_folds_in_one_participant_are_refused(model: Model, cohort_folder: Path) -> None:
    (cohort_folder / "sub-002/T1.nii.gz").replace(cohort_folder / "sub-000/T1.nii.gz")
    cohort = read_cohort(cohort_folder)
    with pytest.raises(InputError) as caught:
        folds_of(model, cohort, cohort.participants)
    assert caught.value.problems == (
        "participant sub-000: their images must be those of one participant in training, but were in folds "
        "0, 2",
    )


def test_out_of_fold_needs_members_of_the_folds(model: Model) -> None:
    check_folds(model)
    with pytest.raises(
        InputError, match=r"--out-of-fold: models of the folds are needed, but models/toy/1 has"
    ):
        check_folds(Model(model.folder, replace(model.facts, fold_ensembles=())))
