"""File names of participants and labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.maps.naming import LONGEST, file_name


@given(st.text(max_size=300))
def test_a_name_is_fit_for_every_file_system(name: str) -> None:
    found = file_name(name)
    assert found
    assert found.isascii()
    assert not {"/", "\\", ":", " ", "<", "\0"} & set(found)
    assert not found.startswith((".", "-"))
    assert len(found) <= LONGEST + 9


@given(st.lists(st.text(max_size=100), unique=True, max_size=10))
def test_different_names_have_different_files(names: list[str]) -> None:
    assert len({file_name(name) for name in names}) == len(names)


def test_usual_names_stay_as_they_are() -> None:
    for name in ("sub-001", "sub-001_ses-2", "CD3D+CD3E", "HLA.DRA"):
        assert file_name(name) == name
