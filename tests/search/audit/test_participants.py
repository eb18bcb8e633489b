from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.folds import FoldTable
from search.audit.participants import check_participants, spelt_alike
from search.audit.record import LEAK, PASSED, SUSPICIOUS
from search.audit.subject import Subject
from search.booking import FOLD


def renamed(subject: Subject, **names: str) -> Subject:
    """The subject with participants under other ids, in patches and folds."""
    old = subject.material
    who = tuple(names.get(name.replace("-", "_"), name) for name in old.patches.participant_id)
    patches = old.patches.take(range(len(old.patches)))
    object.__setattr__(patches, "participant_id", who)
    folds = FoldTable(old.folds.biopsy_id, who, old.folds.fold, old.folds.n_folds)
    return Subject(subject.opened, subject.study, subject.home, replace(old, patches=patches, folds=folds))


def fold_of(subject: Subject, name: str) -> int:
    folds = subject.material.folds
    return int(folds.fold[0, folds.participant_id.index(name)])


def test_a_sound_study_passes(audited: Subject) -> None:
    check = check_participants(audited)
    tables = check.figures["tables"]
    assert (check.verdict, check.figures["participants"], tables["search"]) == (PASSED, 12, 1)
    assert check.figures["splits"] == 3 * sum(tables.values())


def test_one_participant_under_two_spellings_is_a_leak_where_a_split_parts_them(audited: Subject) -> None:
    names = sorted(set(audited.participants))
    first = names[0]
    apart = next(name for name in names if fold_of(audited, name) != fold_of(audited, first))
    check = check_participants(renamed(audited, **{apart.replace("-", "_"): "SUB 0"}))
    assert check.verdict == LEAK
    assert set(check.ids) == {first, "SUB 0"}
    assert "both sides" in check.sentence


def test_two_spellings_that_are_held_out_together_are_a_suspicion(audited: Subject) -> None:
    names = sorted(set(audited.participants))
    beside = next(name for name in names[1:] if fold_of(audited, name) == fold_of(audited, names[0]))
    check = check_participants(renamed(audited, **{beside.replace("-", "_"): "Sub_00"}))
    assert check.verdict == SUSPICIOUS


def test_folds_that_were_scored_on_other_biopsies_than_the_table_holds_out_are_a_leak(
    audited: Subject,
) -> None:
    trial = audited.trials[0]
    fold = json.loads(trial.system_attrs[f"{FOLD}1"])
    fold["rows"] = [(row + 1) % 36 for row in fold["rows"]]
    attrs = {**trial.system_attrs, f"{FOLD}1": json.dumps(fold)}
    subject = Subject(audited.opened, audited.study, audited.home, audited.material)
    changed = copy.copy(trial)
    changed.system_attrs = attrs
    subject.__dict__["trials"] = [changed, *audited.trials[1:]]
    check = check_participants(subject)
    assert (check.verdict, check.figures["folds_scored_on_other_biopsies"]) == (
        LEAK,
        [{"trial": 0, "split": 1}],
    )


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("sub-01", "Sub-1", True),
        ("sub-01", "sub 001", True),
        ("P7", "p07 ", True),
        ("sub-1", "sub-10", False),
        ("A1-2", "A12", False),
        ("1.10", "1.1", False),
        ("a", "b", False),
        ("+", "-", False),
    ],
)
def test_spellings(one: str, other: str, alike: bool) -> None:
    assert bool(spelt_alike([one, other])) is alike


@given(st.lists(st.integers(0, 10_000), min_size=2, unique=True))
def test_different_numbers_are_never_alike(numbers: list[int]) -> None:
    assert spelt_alike([f"sub-{number:03d}" for number in numbers]) == []


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1))
def test_blanks_and_marks_between_letters_and_numbers_count_for_nothing(text: str) -> None:
    assert spelt_alike([text, f" {text}_"]) == [tuple(sorted((text, f" {text}_")))]


def test_groups_of_three_are_named_together() -> None:
    assert spelt_alike(["p1", "P01", "p-001", "p2"]) == [("P01", "p-001", "p1")]
