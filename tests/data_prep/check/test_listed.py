from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.check.listed import listed
from data_prep.check.reading import inspect
from data_prep.check.tables import table_findings
from tests.data_prep.check.heads import write_heads


def test_rows_that_were_rejected_are_listed_too(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    table = folder / "biopsies.tsv"
    table.write_text(table.read_text().replace("b00\tsub-0\t", "b00\tsub-0\tfar") + "b98\tsub-9\n")
    subject = inspect(folder)
    assert "b00" not in {biopsy.biopsy_id for biopsy in subject.cohort.biopsies}
    known = listed(subject)
    assert known is not None
    assert known["biopsy_id"] == {f"b{n:02}" for n in range(12)} | {"b98"}
    assert known["participant_id"] == {"sub-0", "sub-1", "sub-2", "sub-3", "sub-9"}


def test_a_row_that_was_rejected_makes_no_strangers(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    table = folder / "biopsies.tsv"
    lines = [line for line in table.read_text().splitlines() if "sub-1" not in line]
    table.write_text("\n".join([*lines, "b03\tsub-1\t1,5\t0\t0"]) + "\n")
    assert [f.code for f in table_findings(inspect(folder))] == ["not-a-number"]


@pytest.mark.parametrize("content", [None, "", "x\ty\n1\t2\n", "\xff\xfe"])
def test_a_table_that_cannot_be_read_makes_no_strangers(tmp_path: Path, content: str | None) -> None:
    folder = write_heads(tmp_path / "cohort")
    if content is None:
        (folder / "biopsies.tsv").unlink()
    else:
        (folder / "biopsies.tsv").write_bytes(content.encode("latin-1"))
    subject = inspect(folder)
    assert listed(subject) is None
    assert {f.code for f in table_findings(subject)} <= {
        "table-unreadable",
        "table-empty",
        "column-missing",
        "column-unknown",
        "table",
    }
