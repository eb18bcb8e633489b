"""Ten frozen fold tables a study, the search's own first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.folds import FoldTable, make_folds
from data_prep.problems import InputError
from search.bank import TABLES, bank_of, freeze_bank, read_bank, too_few
from search.home import Home
from search.material import Material, freeze_folds, prepare
from search.study_file import Study


@pytest.fixture
def made(make_study: Callable[..., Study], tmp_path: Path) -> Callable[..., tuple[Study, Material]]:
    def make(*changes: str) -> tuple[Study, Material]:
        study = make_study(tmp_path, *changes)
        return study, prepare(study, Home.at(tmp_path / "home"), frozen=False)

    return make


def together(fold: np.ndarray) -> frozenset[frozenset[int]]:
    """Which biopsies are held out together, whatever the folds' numbers."""
    return frozenset(frozenset(map(int, np.flatnonzero(fold == number))) for number in set(fold.tolist()))


@pytest.mark.parametrize("repeats", [1, 3, 10, 12])
def test_a_bank_begins_with_the_tables_of_the_search(
    repeats: int, made: Callable[..., tuple[Study, Material]]
) -> None:
    study, material = made(f"validation.repeats={repeats}", "validation.seed=5")
    bank = bank_of(material, study)
    shared = min(repeats, TABLES)
    assert bank.fold.shape == (TABLES, 36)
    assert np.array_equal(bank.fold[:shared], material.folds.fold[:shared])
    assert (bank.biopsy_id, bank.participant_id) == (
        material.patches.biopsy_id,
        material.patches.participant_id,
    )


def test_a_bank_is_what_a_search_with_ten_repeats_would_draw(
    made: Callable[..., tuple[Study, Material]],
) -> None:
    study, material = made()
    _, ten = made("validation.repeats=10")
    assert bank_of(material, study).hash == ten.folds.hash


def test_no_table_of_a_bank_holds_the_same_biopsies_out_together_as_another(
    made: Callable[..., tuple[Study, Material]],
) -> None:
    study, material = made()
    bank = bank_of(material, study)
    assert len({together(fold) for fold in bank.fold}) == TABLES
    assert too_few(bank) is None


def test_a_cohort_too_small_for_ten_tables_has_as_many_as_differ(
    made: Callable[..., tuple[Study, Material]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four participants of one biopsy, two of them positive: two ways to pair each with another."""
    study, material = made()
    names, label = ("a", "b", "c", "d"), np.array([1, 1, 0, 0])
    tiny = replace(
        material,
        patches=replace(material.patches.take(np.arange(4)), biopsy_id=names, participant_id=names),
        labels=replace(material.labels, label=label),
        folds=make_folds(names, names, label, 2, 1, 0),
    )
    study = study.model_copy(update={"validation": study.validation.model_copy(update={"folds": 2})})
    bank = bank_of(tiny, study)
    assert len(bank.fold) == 2
    assert {together(fold) for fold in bank.fold} == {
        frozenset({frozenset({0, 2}), frozenset({1, 3})}),
        frozenset({frozenset({0, 3}), frozenset({1, 2})}),
    }
    assert np.array_equal(bank.fold[0], tiny.folds.fold[0])
    assert too_few(bank) == "only 2 fold tables, not 10: the cohort is too small for more that differ"


def test_a_bank_is_frozen_with_the_study_and_not_made_again(
    made: Callable[..., tuple[Study, Material]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, material = made()
    folder = Home.at(tmp_path / "home").study(study.name)
    freeze_folds(material, folder)
    before = folder.folds.read_bytes()
    bank = freeze_bank(material, study, folder)
    monkeypatch.setattr("search.bank.make_folds", None)
    assert freeze_bank(material, study, folder).hash == bank.hash == read_bank(folder).hash
    assert folder.folds.read_bytes() == before
    assert (folder.root / "bank.tsv").read_text().splitlines()[0] == f"# sha256 {bank.hash}"


def test_the_bank_of_an_earlier_study_of_that_name_is_replaced(
    made: Callable[..., tuple[Study, Material]], tmp_path: Path
) -> None:
    folder = Home.at(tmp_path / "home").study("toy")
    study, material = made()
    other_study, other = made("validation.seed=9")
    earlier = freeze_bank(other, other_study, folder)
    bank = freeze_bank(material, study, folder)
    assert bank.hash == bank_of(material, study).hash != earlier.hash
    assert read_bank(folder).hash == bank.hash


def test_a_bank_changed_by_hand_is_refused(
    made: Callable[..., tuple[Study, Material]], tmp_path: Path
) -> None:
    study, material = made()
    folder = Home.at(tmp_path / "home").study(study.name)
    freeze_bank(material, study, folder)
    path = folder.root / "bank.tsv"
    whole = path.read_bytes()
    path.write_text(path.read_text().replace("b17\t", "b17x\t"))
    for read in (lambda: read_bank(folder), lambda: freeze_bank(material, study, folder)):
        with pytest.raises(
            InputError, match=r"bank\.tsv: the fold bank must be .*: delete the file"
        ) as caught:
            read()
        assert "another name" not in str(caught.value)
    path.unlink()
    freeze_bank(material, study, folder)
    assert path.read_bytes() == whole


def test_a_study_without_a_bank_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bank\.tsv: a fold table is needed"):
        read_bank(Home.at(tmp_path).study("toy"))


def test_one_table_is_told_in_the_singular() -> None:
    table = FoldTable(("a", "b"), ("p", "q"), np.array([[0, 1]]), 2)
    assert too_few(table) == "only 1 fold table, not 10: the cohort is too small for more that differ"
