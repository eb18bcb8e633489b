"""Places of images, and cohort.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.importing.joining import Joined
from data_prep.importing.layout import cohort_toml, lay_out, links_out, rare_sequences
from data_prep.importing.records import Found, Placed
from data_prep.problems import Problems

FoundFile = Callable[..., Found]


def joined(repeats: str | None, **files: tuple[Found, ...]) -> Joined:
    own = {(f.participant, f.session): group for group in files.values() for f in group[:1]}
    return Joined({}, own, repeats, (), ())


def test_images_lie_by_participant_session_and_sequence(found: FoundFile) -> None:
    first = (found("p", "s1", "T1"), found("p", "s1", "brain", mask=True))
    again = (found("p", "s2", "FA", end=".nii"),)
    layout = lay_out(joined("s2", first=first, again=again), ("FA", "T1", "T2"), "copy", Problems())
    assert [(image.target, image.action) for image in layout.images] == [
        ("p/s1/T1.nii.gz", "copy"),
        ("p/s1/masks/brain.nii.gz", "copy"),
        ("p/s2/FA.nii.gz", "compress"),
    ]
    assert (layout.sequences, layout.masks, layout.sessions) == (("T1",), ("brain",), True)


def test_uncompressed_images_stay_so_where_all_are(found: FoundFile) -> None:
    layout = lay_out(joined(None, a=(found("p", None, "T1", end=".nii"),)), ("T1",), "symlink", Problems())
    assert [(image.target, image.action) for image in layout.images] == [("p/T1.nii", "symlink")]


def test_links_cannot_change_a_suffix(found: FoundFile) -> None:
    problems = Problems()
    files = (found("p", None, "T1", end=".nii"), found("p", None, "T2"))
    lay_out(joined(None, a=files), ("T1", "T2"), "symlink", problems)
    with pytest.raises(ValueError, match=r"must all end in .nii.gz, or all in .nii, but p/T1.nii differs"):
        problems.raise_any()


def test_cohort_toml_says_it_all(found: FoundFile) -> None:
    files = (found("p", "s1", "T1"), found("p", "s1", "tumor", mask=True))
    layout = lay_out(joined("s2", a=files, b=(found("p", "s2", "T1"),)), ("T1",), "copy", Problems())
    tables = {"biopsies": "biopsies.tsv"}
    text = cohort_toml('the "first" \\ Köln', layout, tables, {"space": "voxel"}, "s2", links=True)
    assert tomllib.loads(text) == {
        "name": 'the "first" \\ Köln',
        "images": "{participant_id}/{session}/{sequence}.nii.gz",
        "sequences": ["T1"],
        "biopsies": "biopsies.tsv",
        "follow_links": True,
        "coordinates": {"space": "voxel"},
        "masks": {"tumor": "{participant_id}/{session}/masks/tumor.nii.gz"},
        "repeats": {"images": "{participant_id}/s2/{sequence}.nii.gz"},
    }


def test_sequences_of_one_participant_among_many_are_named(found: FoundFile) -> None:
    files = {p: (found(p, None, "T1"), found(p, None, f"series {p}")) for p in ("p", "q", "r")}
    (warning,) = rare_sequences(joined(None, **files))
    assert "3 of 4 sequences are of one participant alone: series p, series q, series r" in warning
    del files["r"]
    assert rare_sequences(joined(None, **files)) == ()
    many = tuple(found("p", None, f"series {n:02}") for n in range(12))
    (warning,) = rare_sequences(joined(None, p=many, q=files["q"], r=(found("r", None, "T1"),)))
    assert "series 09 and 3 more. Are images" in warning


def test_links_that_lead_out_of_the_source_are_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, target in (("in", source / "real"), ("out", tmp_path / "far.nii")):
        target.touch()
        (source / name).symlink_to(target)
    images = [Placed(source / name, name, "t", "copy") for name in ("in", "out", "real")]
    (warning,) = links_out(source, images)
    assert warning.startswith("1 images are links that lead out of")
    assert warning.endswith(f"out to {(tmp_path / 'far.nii').resolve()}")
