from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from data_prep.augment_spec import AugmentSpec
from search.known import KNOWN
from search.sections import AUGMENTATIONS, ArchitectureSection, InputSection, SearchSection


def test_every_named_augmentation_sets_known_parameters_to_something() -> None:
    for settings in AUGMENTATIONS.values():
        for name, value in settings.items():
            assert value != KNOWN[name].default


def test_the_names_of_a_study_add_up() -> None:
    augmented = InputSection(augmentation=("flip", "rotate-free", "intensity")).augmented
    assert augmented == {"flip": True, "rotation": "free", "intensity_scale": 0.1, "intensity_shift": 0.1}
    assert AugmentSpec(**augmented).is_none is False


@pytest.mark.parametrize(
    ("table", "law"),
    [
        ({"augmentation": ("rotate", "rotate-free")}, "not both"),
        ({"augmentation": ("flip", "flip")}, "names must differ"),
        ({"augmentation": ("flop",)}, "did you mean 'flip'"),
        ({"registration_sd_mm": 0.0}, "greater than 0"),
    ],
)
def test_augmentation_that_makes_no_sense_is_refused(table: dict[str, Any], law: str) -> None:
    with pytest.raises(ValidationError, match=law):
        InputSection(**table)


@pytest.mark.parametrize(
    ("table", "law"),
    [
        ({}, "either `function` or `hypermodel`"),
        ({"function": "a.py:f", "hypermodel": "b:C"}, "either `function` or `hypermodel`"),
        ({"function": "a.py"}, '"file.py:name"'),
        ({"function": "a.py:2f"}, '"file.py:name"'),
        ({"function": "a.py:f", "fixed": {"x": 1}}, "belong to a hypermodel"),
        ({"hypermodel": "b:C", "smallest_radius": 0}, "greater than or equal to 1"),
    ],
)
def test_an_architecture_needs_one_source(table: dict[str, Any], law: str) -> None:
    with pytest.raises(ValidationError, match=law):
        ArchitectureSection(**table)


def test_dotted_parameters_of_an_enqueued_trial_are_their_names() -> None:
    section = SearchSection(enqueue=[{"architecture": "mine", "mine": {"width": 8}, "flip": True}])  # type: ignore[arg-type]
    assert section.enqueue == ({"architecture": "mine", "mine.width": 8, "flip": True},)


def test_an_own_architecture_says_where_its_file_is() -> None:
    own = ArchitectureSection(function="/nets/mine.py:net", smallest_radius=2).own
    assert (own.kind, own.file, own.smallest_radius) == ("function", Path("/nets/mine.py"), 2)
