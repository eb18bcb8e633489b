from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import Cohort, read_cohort
from data_prep.patch_set import PatchRequest
from data_prep.problems import InputError
from search.deployment.fitting_cohort import as_needed, check_fits, lacking
from search.deployment.model import Model
from tests.search.deployment.facts_by_hand import make_facts

SEQUENCES = ("T1", "T2", "FLAIR")


def model_of(**changes: object) -> Model:
    """One that needs T1 and T2, and read voxels of 1 mm."""
    request = PatchRequest(
        SEQUENCES, 2, **{k: v for k, v in changes.items() if k in ("slices", "spacing_mm")}
    )  # type: ignore[arg-type]
    facts = make_facts(request=request, needed=("T1", "T2"), voxel_mm=(0.98, 1.0))
    return Model(Path("models/toy/1"), replace(facts, **{k: v for k, v in changes.items() if k == "needed"}))  # type: ignore[arg-type]


@pytest.fixture
def folder(make_cohort: Callable[..., Path], tmp_path: Path) -> Path:
    return make_cohort(
        tmp_path / "cohort",
        participants=3,
        biopsies=6,
        sequences=SEQUENCES,
        size=12,
        missing={(0, "FLAIR"), (1, "T2"), (1, "FLAIR")},
    )


def problems_of(model: Model, cohort: Cohort) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        check_fits(model, cohort, cohort.biopsies)
    return caught.value.problems


def rescaled(folder: Path, size: tuple[float, float, float]) -> None:
    for path in folder.glob("*.nii.gz"):
        image = nib.load(path)
        affine = np.diag([*size, 1.0])
        affine[:3, 3] = -6 * np.array(size)
        nib.save(nib.Nifti1Image(image.get_fdata().astype(np.float32), affine), path)


def test_who_lacks_what_everybody_had_is_known(folder: Path) -> None:
    cohort = read_cohort(folder)
    assert lacking(model_of(), cohort, cohort.biopsies) == {"sub-001": ("T2",)}
    assert lacking(model_of(needed=SEQUENCES), cohort, cohort.biopsies) == {
        "sub-000": ("FLAIR",),
        "sub-001": ("T2", "FLAIR"),
    }
    assert lacking(model_of(), cohort, cohort.biopsies[:1]) == {}


def test_a_cohort_that_fits_passes(folder: Path) -> None:
    cohort = read_cohort(folder)
    check_fits(model_of(), cohort, [one for one in cohort.biopsies if one.participant_id != "sub-001"])


def test_a_participant_without_a_needed_sequence_is_refused(folder: Path) -> None:
    assert problems_of(model_of(), read_cohort(folder)) == (
        "participant sub-001: the model needs T1, T2, which everybody had whom it learned from, but T2 is "
        "absent",
    )


def test_a_sequence_that_the_cohort_does_not_declare_is_named_with_the_nearest(folder: Path) -> None:
    for path in folder.glob("sub-*/T2.nii.gz"):
        path.rename(path.with_name("T2w.nii.gz"))
    toml = folder / "cohort.toml"
    toml.write_text(toml.read_text().replace("'T2'", "'T2w'"))
    assert problems_of(model_of(), read_cohort(folder)) == (
        "cohort.toml: sequences: the model reads 'T2', but the cohort does not declare it; did you mean "
        "'T2w'? Known: FLAIR, T1, T2w",
    )


def test_a_sequence_that_nobody_needs_to_have_need_not_be_declared(folder: Path) -> None:
    toml = folder / "cohort.toml"
    toml.write_text(toml.read_text().replace(", 'FLAIR'", ""))
    shutil.rmtree(folder / "sub-001")
    table = folder / "biopsies.tsv"
    table.write_text("".join(line for line in table.open() if "sub-001" not in line))
    (folder / "sub-002/FLAIR.nii.gz").unlink()
    cohort = read_cohort(folder)
    check_fits(model_of(), cohort, cohort.biopsies)
    assert as_needed(cohort, model_of()).sequences == SEQUENCES
    assert as_needed(cohort, model_of()).images(cohort.biopsies[0], SEQUENCES).keys() == {"T1", "T2"}


def test_images_that_no_name_tells_apart_are_not_taken_for_others(
    make_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_cohort(tmp_path / "one", participants=2, biopsies=4, sequences=("T1",), size=12)
    toml = folder / "cohort.toml"
    toml.write_text(toml.read_text().replace("{sequence}", "T1"))
    cohort = read_cohort(folder)
    model = model_of(needed=("T1",))
    assert as_needed(cohort, model).sequences == ("T1",)
    assert len(problems_of(model, cohort)) == 2


@pytest.mark.parametrize(
    ("size", "is_refused"),
    [
        ((1.0, 0.98, 3.0), False),
        ((1.04, 0.94, 1.0), False),
        ((1.0, 1.06, 1.0), True),
        ((0.92, 1.0, 1.0), True),
    ],
)
def test_voxels_of_another_size_are_refused_beyond_5_percent(
    size: tuple[float, float, float], is_refused: bool, folder: Path
) -> None:
    rescaled(folder / "sub-002", size)
    cohort = read_cohort(folder)
    mine = [one for one in cohort.biopsies if one.participant_id == "sub-002"]
    if not is_refused:
        check_fits(model_of(), cohort, mine)
        return
    with pytest.raises(InputError) as caught:
        check_fits(model_of(), cohort, mine)
    assert caught.value.problems == (
        f"participant sub-002: the model learned from voxels of 0.98 to 1 mm, but these are {size[0]:g} x "
        f"{size[1]:g} mm. Resample the images, or train with input.spacing_mm, which resamples the patches",
    )
    check_fits(model_of(spacing_mm=1.0), cohort, mine)


def test_all_that_does_not_fit_is_told_at_once(folder: Path) -> None:
    rescaled(folder / "sub-000", (2.0, 2.0, 2.0))
    for path in (folder / "sub-002").glob("*.nii.gz"):
        image = nib.load(path)
        nib.save(image.slicer[:, :, 5:7], path)
    table = folder / "biopsies.tsv"
    head, *rows = [line.split("\t") for line in table.read_text().splitlines()]
    rows = [[*row[:4], "-1"] for row in rows]
    rows[0][2] = "900"
    table.write_text("\n".join("\t".join(row) for row in (head, *rows)))
    lines = problems_of(model_of(slices=3), read_cohort(folder))
    assert [line.split(", ")[0] for line in lines] == [
        "participant sub-001: the model needs T1",
        "participant sub-002: the model reads 3 slices",
        "biopsies.tsv: row 2",
    ]
    assert lines[1].endswith("but the images have 2")
    table.write_text("\n".join("\t".join(row) for row in (head, *rows[1:])))
    assert "the model learned from voxels of" in problems_of(model_of(), read_cohort(folder))[1]
