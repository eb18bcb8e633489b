from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pseudonyms import ORIGINAL, PSEUDONYMS, Names, names_of, read_names, write_key

BIOPSIES = ("glioma-7a", "glioma-7b", "glioma-2a")
PARTICIPANTS = ("anna", "anna", "bert")


def test_pseudonyms_count_and_originals_are_the_cohorts_own() -> None:
    assert names_of(BIOPSIES, PARTICIPANTS, PSEUDONYMS) == Names(("B001", "B002", "B003"), ("P01", "P02"))
    assert names_of(BIOPSIES, PARTICIPANTS, ORIGINAL) == Names(BIOPSIES, ("anna", "bert"))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=1200))
def test_pseudonyms_tell_everybody_apart_and_sort_as_they_count(people: list[int]) -> None:
    names = names_of([str(i) for i in range(len(people))], [f"sub-{p}" for p in people], PSEUDONYMS)
    assert list(names.biopsy) == sorted(set(names.biopsy))
    assert list(names.participant) == sorted(set(names.participant))
    assert len(names.participant) == len(set(people))


@pytest.mark.parametrize("identifiers", [PSEUDONYMS, ORIGINAL])
def test_the_key_gives_the_names_without_the_cohort(tmp_path: Path, identifiers: str) -> None:
    key = tmp_path / "pseudonyms.tsv"
    write_key(key, BIOPSIES, PARTICIPANTS)
    assert read_names(key, identifiers) == names_of(BIOPSIES, PARTICIPANTS, identifiers)
    assert "B003\tP02\tglioma-2a\tbert" in key.read_text().splitlines()


def test_the_key_is_for_its_user_alone(tmp_path: Path) -> None:
    write_key(tmp_path / "key.tsv", BIOPSIES, PARTICIPANTS)
    write_key(tmp_path / "key.tsv", BIOPSIES, PARTICIPANTS)
    assert stat.S_IMODE((tmp_path / "key.tsv").stat().st_mode) == 0o600


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(ValueError, match=r"key\.tsv: columns biopsy, participant"):
        read_names(tmp_path / "key.tsv", PSEUDONYMS)
