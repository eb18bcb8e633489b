"""The table of participants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.importing.people import People, is_personal, read_people
from data_prep.importing.records import ImportOptions

Options = Callable[..., ImportOptions]


@pytest.mark.parametrize("column", ["name", "Patient Name", "date_of_birth", "DOB", "Geburtsdatum", "e-mail"])
def test_columns_that_identify_people_are_told_by_their_names(column: str) -> None:
    assert is_personal(column)


@pytest.mark.parametrize("column", ["age", "sex", "gene_name", "scanner name", "WHO grade", "site"])
def test_other_columns_are_not(column: str) -> None:
    assert not is_personal(column)


def test_rows_of_the_cohort_go_along_without_what_is_dropped(options: Options, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "participants.tsv").write_text(
        "participant_id\tage\tdob\tsite\nsub-01\t50\t1950\tA\n9\t1\t2\tB\n2\t\t\tC\n02\t7\t\tD\n"
    )
    people = read_people(options(drop=("site",)))
    assert (people.columns, people.known) == (("age",), ("age", "dob", "site"))
    assert people.rows({"sub-01", "sub-02"}) == [["sub-01", "50"]]
    assert [left.what.split()[-1] for left in people.left_out] == ["dob", "site"]
    (unclear,) = people.unclear({"sub-01", "sub-02"})
    assert unclear.why == "'02', '2' may be sub-02, which is not certain"


def test_no_table_and_one_without_ids_are_no_people(options: Options, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    assert read_people(options()) == People()
    (tmp_path / "source" / "participants.tsv").write_text("id\tage\na\t1\n")
    (left,) = read_people(options()).left_out
    assert "no table with a column participant_id" in left.why
