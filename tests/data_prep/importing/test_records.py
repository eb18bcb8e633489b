"""Records of an import."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from data_prep.importing.records import AXES, ROLES, ImportOptions


def test_the_roles_hold_what_a_cohort_needs() -> None:
    assert {"biopsy_id", "participant_id", *AXES} <= set(ROLES)


def test_options_are_frozen_and_none_but_the_first_three_is_needed() -> None:
    options = ImportOptions(Path("a"), Path("b"), "c.csv")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.link = "symlink"  # type: ignore[misc]
