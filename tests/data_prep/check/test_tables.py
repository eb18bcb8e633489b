from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.check.findings import Finding
from data_prep.check.subject import Subject
from data_prep.check.tables import plain_id, table_findings
from data_prep.records import Biopsy, Expression
from tests.data_prep.check.subjects import biopsy, cohort, noise, placement, visit


def at(*positions: tuple[float, float, float], who: str = "sub-1") -> list[Biopsy]:
    return [biopsy(f"b{n}", who, position, n + 2) for n, position in enumerate(positions)]


def told(rows: Sequence[Biopsy], edge: float = 1.0, space: str = "world") -> list[Finding]:
    seen = replace(visit(rows, {"T1": noise(1)}), placement=placement(edge))
    return list(table_findings(Subject(cohort(rows, ("T1",), space=space), (), (seen,))))


def with_expression(ids: Sequence[str], measured: Sequence[str]) -> list[Finding]:
    rows = [biopsy(name, "sub-1", (9.0 * n, 0, 0), n + 2) for n, name in enumerate(ids)]
    values = np.exp(np.random.default_rng(0).normal(size=(len(measured), 3)))
    table = Expression("e.tsv", ("A", "B", "C"), tuple(measured), values)
    return list(table_findings(Subject(cohort(rows, expression=table), (), ())))


def test_biopsies_at_one_place_are_named() -> None:
    (finding,) = told(at((1, 2, 3), (8, 8, 8), (1, 2, 3)))
    assert (finding.severity, finding.code, finding.biopsies) == ("warning", "duplicate-biopsy", ("b0", "b2"))
    assert finding.where == "biopsies.tsv: row 4, columns x, y, z"


@pytest.mark.parametrize(
    ("space", "edge", "apart", "near"),
    [
        ("world", 1.0, 0.9, True),
        ("world", 1.0, 1.1, False),
        ("world", 2.0, 1.1, True),
        ("voxel", 2.0, 0.9, True),
        ("voxel", 2.0, 1.0, False),
    ],
)
def test_biopsies_nearer_than_a_voxel_are_a_note(space: str, edge: float, apart: float, near: bool) -> None:
    said = [(f.severity, f.code) for f in told(at((5, 5, 5), (5, 5 + apart, 5)), edge, space)]
    assert said == ([("note", "biopsies-close")] if near else [])


def test_one_place_in_two_heads_is_no_duplicate() -> None:
    rows = [*at((1, 2, 3)), biopsy("other", "sub-2", (1, 2, 3), 3)]
    visits = tuple(visit([row], {"T1": noise(n)}) for n, row in enumerate(rows))
    assert list(table_findings(Subject(cohort(rows, ("T1",)), (), visits))) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sub-001", "sub-1", True),
        ("Sub_01", "sub-01", True),
        ("01", "sub-1", True),
        ("P 7", "p.07", True),
        ("sub-1", "sub-10", False),
        ("1-11", "11-1", False),
        ("sub-100", "sub-1", False),
    ],
)
def test_ids_that_differ_by_the_way_they_are_written(one: str, other: str, same: bool) -> None:
    assert (plain_id(one) == plain_id(other)) is same
    rows = [biopsy("a", one, (1, 1, 1), 2), biopsy("b", other, (9, 9, 9), 3)]
    findings = list(table_findings(Subject(cohort(rows), (), ())))
    assert [f.code for f in findings] == (["ids-alike"] if same else [])


def test_biopsies_and_expression_that_do_not_meet_are_counted() -> None:
    findings = with_expression(["a", "b", "c"], ["b", "x", "y"])
    assert [(f.severity, f.code) for f in findings] == [
        ("note", "biopsies-without-expression"),
        ("note", "expression-without-biopsy"),
    ]
    assert findings[0].what.startswith("2 of 3 biopsies")
    assert findings[0].biopsies == ("a", "c")
    assert findings[1].what.startswith("2 of 3 rows")


def test_an_id_that_the_tables_write_differently_is_a_warning() -> None:
    findings = with_expression(["bx-1", "bx-2"], ["bx-01", "bx-2"])
    (warning,) = [f for f in findings if f.severity == "warning"]
    assert (warning.code, warning.biopsies) == ("ids-alike", ("bx-1",))
    assert "Write 'bx-1' in both" in warning.advice


def test_a_participant_with_images_alone(tmp_path: Path) -> None:
    for who in ("sub-1", "sub-001", "sub-7"):
        (tmp_path / who).mkdir()
        (tmp_path / who / "T1.nii.gz").write_bytes(b"x")
    findings = list(table_findings(Subject(cohort(at((1, 2, 3)), root=tmp_path), (), ())))
    assert [(f.code, f.participant) for f in findings] == [
        ("participant-without-biopsies", "sub-001"),
        ("participant-without-biopsies", "sub-7"),
    ]
    assert findings[0].advice == "Is it 'sub-1' of the table?"


def test_a_line_that_reading_the_tables_said_comes_first() -> None:
    rows = at((1, 2, 3), (1, 2, 3))
    lines = ("biopsies.tsv: row 9, column x: a number is needed, but got 'q'.",)
    subject = Subject(cohort(rows, ("T1",)), lines, (visit(rows, {"T1": noise(1)}),))
    assert [f.code for f in table_findings(subject)] == ["not-a-number", "duplicate-biopsy"]


def test_one_place_in_images_that_are_shared_is_that_of_two_heads() -> None:
    """Two participants with the same files are one visit; an id that is there twice is told elsewhere."""
    rows = [*at((1, 2, 3)), biopsy("other", "sub-2", (1, 2, 3), 3)]
    assert told(rows) == []
    assert told([*at((1, 2, 3)), biopsy("b0", "sub-1", (1, 2, 3), 3)]) == []
