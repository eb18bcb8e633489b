"""Naming patterns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.importing.patterns import compile_pattern, read_folder
from data_prep.importing.records import ImportOptions
from data_prep.importing.walking import walk
from data_prep.problems import InputError, Problems

WORDS = st.text("abcXYZ0189", min_size=1, max_size=6)


@given(WORDS, WORDS, WORDS)
def test_a_pattern_finds_what_was_put_into_it(participant: str, date: str, sequence: str) -> None:
    pattern = compile_pattern("{participant_id}/{date}/{participant_id}_{sequence}_reg.nii.gz")
    label = f"{participant}/{date}/{participant}_{sequence}_reg.nii.gz"
    assert pattern.match(label) == {"participant_id": participant, "session": date, "sequence": sequence}
    assert pattern.match(f"{participant}/{date}/no{participant}_{sequence}_reg.nii.gz") is None


def test_a_star_is_any_text_of_one_part_and_the_suffix_may_be_left_away() -> None:
    pattern = compile_pattern("*/{participant_id}/*{sequence}")
    assert pattern.match("a/P1/T1.nii") == pattern.match("b/P1/T1.nii.gz") is not None
    assert pattern.match("a/b/P1/T1.nii") is None
    assert compile_pattern("{participant_id}/{sequence}(1).nii").match("P/T1(1).nii") is not None


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("{participant_id}/T1.nii", "'{sequence}' is needed"),
        ("{sequence}.nii", "'{participant_id}' is needed"),
        ("{patient}/{sequence}", "unknown placeholder 'patient'"),
        ("{participant_id}/{sequence", "braces must hold a placeholder"),
    ],
)
def test_a_pattern_that_is_none(text: str, law: str) -> None:
    with pytest.raises(InputError, match=law):
        compile_pattern(text)


def test_sequences_are_chosen_and_renamed_and_masks_are_known(
    tmp_path: Path, write_images: Callable[..., Path], options: Callable[..., ImportOptions]
) -> None:
    labels = ["P1/t1_post.nii", "P1/t2.nii", "P1/brain_mask.nii", "P1/deep/x.nii"]
    source = write_images(tmp_path / "source", labels)
    pattern = "{participant_id}/{sequence}"
    problems = Problems()
    plain = read_folder(options(source=source), [pattern], True, walk(source), problems)
    assert plain.order == ("t1_post", "t2")
    assert plain.guessed
    assert [(f.name, f.label) for f in plain.files if f.mask] == [("brain", "P1/brain_mask.nii")]
    assert [left.what for left in plain.left_out] == ["P1/deep/x.nii"]
    flags = {"sequences": ("T1Gd=T1_post",), "masks": ("tumor=brain_mask",)}
    chosen = read_folder(options(source=source, **flags), [pattern], False, walk(source), problems)
    assert chosen.order == ("T1Gd",)
    assert {(f.name, f.mask) for f in chosen.files} == {("T1Gd", False), ("tumor", True)}
    assert not len(problems)


def test_files_that_mean_the_same_and_a_flag_of_bids_are_problems(
    tmp_path: Path, write_images: Callable[..., Path], options: Callable[..., ImportOptions]
) -> None:
    source = write_images(tmp_path / "source", ["P1/T1.nii", "P1/T1.nii.gz"])
    problems = Problems()
    flags = options(source=source, only="run:1")
    read_folder(flags, ["{participant_id}/{sequence}", "{x}"], False, walk(source), problems)
    assert len(problems) == 3
    with pytest.raises(InputError, match=r"(?s)--only.*unknown placeholder 'x'.*but P1/T1.nii is the same"):
        problems.raise_any()


def test_a_mask_that_is_asked_for_as_a_sequence_is_one(
    tmp_path: Path, write_images: Callable[..., Path], options: Callable[..., ImportOptions]
) -> None:
    source = write_images(tmp_path / "source", ["P1/T1.nii", "P1/seg.nii", "P1/brain_mask.nii"])
    flags = options(source=source, sequences=("T1=T1", "SHAPE=seg"))
    kept = read_folder(flags, ["{participant_id}/{sequence}"], False, walk(source), Problems())
    assert kept.order == ("T1", "SHAPE")
    assert {(f.name, f.mask) for f in kept.files} == {("T1", False), ("SHAPE", False), ("brain", True)}
