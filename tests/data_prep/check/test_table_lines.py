from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.check.findings import Finding
from data_prep.check.subject import Subject
from data_prep.check.table_lines import MOST, line_findings
from data_prep.cohort import read_cohort
from data_prep.problems import InputError
from tests.data_prep.check.subjects import biopsy, cohort


def told(*lines: str) -> list[Finding]:
    rows = [biopsy(f"b{row}", f"sub-{row}", (0, 0, 0), row) for row in range(2, 6)]
    return list(line_findings(Subject(cohort(rows), lines, ())))


def problems_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(InputError) as error:
        read_cohort(folder)
    return error.value.problems


def edit(path: Path, old: str, new: str, count: int = 1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


@pytest.mark.parametrize(
    ("file", "old", "new", "code"),
    [
        ("biopsies.tsv", "b01\t", "b00\t", "duplicate-id"),
        ("biopsies.tsv", "\tx\t", "\tX\t", "column-missing"),
        ("biopsies.tsv", "b02\t", "b02\t\t", "row-ragged"),
        ("biopsies.tsv", "b02\t", "\t", "value-missing"),
        ("biopsies.tsv", "sub-001", "sub-991", "no-image"),
        ("expression.tsv", "b00\t", "b00\t-", "expression-negative"),
        ("expression.tsv", "b00\t", "b00\t1e", "expression-too-large"),
        ("expression.tsv", "b00\t", "b00\tmuch", "not-a-number"),
        ("cohort.toml", "'T2'", "'T2w'", "sequence-absent"),
        ("cohort.toml", "biopsies.tsv", "sites.tsv", "table-unreadable"),
        ("cohort.toml", "{participant_id}", "{participant}", "column-unknown"),
    ],
)
def test_what_reading_a_cohort_says_has_a_code(
    cohort_folder: Path, file: str, old: str, new: str, code: str
) -> None:
    if code == "expression-too-large":
        rows = (cohort_folder / file).read_text().splitlines()
        rows[1] = "b00\t1e16\t1"
        (cohort_folder / file).write_text("\n".join(rows) + "\n")
    else:
        edit(cohort_folder / file, old, new)
    findings = told(*problems_of(cohort_folder))
    assert code in {finding.code for finding in findings}
    assert "table" not in {finding.code for finding in findings}
    assert all(finding.severity == "error" and finding.where and finding.what for finding in findings)


def test_no_word_of_a_line_is_lost() -> None:
    line = "biopsies.tsv: row 3, column x: a number is needed, but got 'a: b'."
    (finding,) = told(line)
    assert finding.line == line
    assert finding.where == "biopsies.tsv: row 3, column x"
    assert (finding.participant, finding.biopsies) == ("sub-3", ("b3",))


def test_lines_of_the_expression_table_name_no_biopsy_by_their_row() -> None:
    (finding,) = told("expression.tsv: row 3, column CD3D: expression cannot be negative, but got -1.")
    assert (finding.participant, finding.biopsies) == (None, ())


def test_a_million_lines_of_one_kind_are_counted() -> None:
    lines = [
        f"e.tsv: row {n}, column CD3D: expression cannot be negative, but got -1." for n in range(2, 102)
    ]
    findings = told(*lines, "biopsies.tsv: row 1, column z: the column is required, but missing. Known: a")
    assert [f.code for f in findings] == ["expression-negative"] * MOST + ["column-missing"]
    assert f"There are {100 - MOST} more such lines." in findings[MOST - 1].what


def test_a_participant_without_images_is_one_finding() -> None:
    rows = [biopsy(f"b{row}", f"sub-{row % 2}", (0, 0, 0), row) for row in range(2, 6)]
    what = "at least one image of the biopsy must exist, but there is none, not even x.nii."
    lines = [f"biopsies.tsv: row {row}: {what}" for row in range(2, 6)]
    findings = list(line_findings(Subject(cohort(rows), tuple(lines), ())))
    assert [(f.code, f.participant, f.biopsies) for f in findings] == [
        ("no-image", "sub-0", ("b2", "b4")),
        ("no-image", "sub-1", ("b3", "b5")),
    ]
    assert findings[0].what == f"{what} So it is with the other 1 of sub-0."


def test_a_line_of_an_unknown_kind_is_told_all_the_same() -> None:
    (finding,) = told("something nobody thought of")
    assert (finding.severity, finding.code, finding.what) == ("error", "table", "something nobody thought of")
