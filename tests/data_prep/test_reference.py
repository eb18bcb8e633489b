"""On which grid patches are cut, and which files cannot be seen there."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort, read_leniently
from data_prep.problems import InputError, Problems
from data_prep.spacing import in_plane_spacing
from data_prep.survey import first_grids, survey
from tests.data_prep.placed import affine_of, extract, noise, samples, write_cohort

FINE, COARSE = affine_of([1, 1, 1], [-10, -10, -10]), affine_of([2, 1.5, 3], [-11, -9, -12], [5, -3, 8])
SITE = [0.0, 1.0, 2.0]


@pytest.fixture
def images():
    return {
        "T1Gd": noise((20, 21, 22), FINE),
        "FA": noise((11, 13, 9), COARSE, 1),
        "MD": noise((11, 13, 9), COARSE, 2),
    }


def problems_of(folder, **options) -> tuple[str, ...]:
    with pytest.raises(InputError, match=":") as caught:
        extract(folder, **options)
    return caught.value.problems


def unplaced(image: nib.Nifti1Image) -> nib.Nifti1Image:
    bare = nib.Nifti1Image(np.asarray(image.dataobj), None)
    bare.header["pixdim"][1:4] = image.header.get_zooms()
    bare.header["sform_code"] = bare.header["qform_code"] = 0
    return bare


def test_grids_that_differ_are_refused_by_a_line_that_names_the_option(tmp_path, images):
    lines = problems_of(write_cohort(tmp_path, images, [SITE]))
    assert [line.split(":")[0] for line in lines] == ["sub/FA.nii", "sub/MD.nii"]
    assert lines[0].endswith("Set resample_to to the sequence whose grid patches are to be cut on.")
    assert "where sub/T1Gd.nii has shape (20, 21, 22)" in lines[0]


@pytest.mark.parametrize(("name", "edges"), [("T1Gd", [1.0, 1.0]), ("MD", [2.0, 1.5])])
def test_patches_have_the_voxels_of_the_reference(tmp_path, images, name, edges):
    folder = write_cohort(tmp_path, images, [SITE])
    patches = extract(folder, resample_to=name)
    assert patches.voxel_mm[0] == pytest.approx(edges, abs=1e-5)
    alone = extract(folder, sequences=[name])
    channel = patches.sequences.index(name)
    assert np.array_equal(patches.raw[..., channel], alone.raw[..., 0])
    spacing = in_plane_spacing(read_cohort(folder), ("FA", "T1Gd"), None, name)
    assert spacing == patches.voxel_mm.min()


def test_the_reference_need_not_be_among_the_channels(tmp_path, images):
    folder = write_cohort(tmp_path, images, [SITE])
    every = extract(folder, resample_to="T1Gd", slices=3)
    some = extract(folder, sequences=["MD", "FA"], resample_to="T1Gd", slices=3)
    assert np.array_equal(samples(some), samples(every)[..., [2, 1]])


def test_voxel_coordinates_are_indices_into_the_reference_as_it_is_stored(tmp_path, images):
    turned = {
        name: image.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]])) for name, image in images.items()
    }
    voxel = nib.affines.apply_affine(np.linalg.inv(turned["T1Gd"].affine), SITE)
    mixed = {**images, "T1Gd": turned["T1Gd"]}
    by_voxel = extract(write_cohort(tmp_path / "a", mixed, [voxel], "voxel"), resample_to="T1Gd")
    by_world = extract(write_cohort(tmp_path / "b", images, [SITE]), resample_to="T1Gd")
    assert np.array_equal(by_voxel.raw, by_world.raw)


@pytest.mark.parametrize("order", [("FA", "MD", "T1Gd"), ("MD", "T1Gd", "FA")])
def test_who_lacks_the_reference_has_the_grid_of_the_finest_voxels(tmp_path, images, order):
    """Of equal ones that of the first in cohort.toml: MD's grid and T1Gd's differ in their place alone."""
    images["MD"] = noise((30, 30, 30), affine_of([1, 1, 1], [-14.5, -14.5, -14.5]))
    folder = write_cohort(
        tmp_path, {name: images[name] for name in (*order, "FLAIR") if name in images}, [SITE]
    )
    toml = (folder / "cohort.toml").read_text()
    (folder / "cohort.toml").write_text(toml.replace(f"{order[-1]!r}]", f"{order[-1]!r}, 'FLAIR']"))
    cohort = read_leniently(folder)[0]
    problems = Problems()
    (visit,) = survey(cohort, cohort.sequences, problems, "FLAIR").visits
    first = next(name for name in order if name != "FA")
    for grid in (visit.grid, *first_grids(cohort, cohort.sequences, "FLAIR")):
        np.testing.assert_array_equal(grid.affine, images[first].affine)
    assert survey(cohort, ("FA",), problems, "FLAIR").visits[0].grid.shape == (11, 13, 9)
    assert not len(problems)


def test_voxel_coordinates_of_who_lacks_the_reference_count_nothing(tmp_path, images):
    """Indices into the file that is not there: no site is judged, and the line says what to do."""
    write_cohort(tmp_path, images, [[9, 9, 8]], "voxel")
    (tmp_path / "sub2").mkdir()
    for name in ("FA", "MD"):
        nib.save(images["FA"], tmp_path / "sub2" / f"{name}.nii")
    with (tmp_path / "biopsies.tsv").open("a") as table:
        table.write("c0\tsub2\t19\t1\t2\n")
    (line,) = problems_of(tmp_path, resample_to="T1Gd", spacing_mm=1.0)
    assert line == (
        "sub2/T1Gd.nii: voxel coordinates are indices into the file of resample_to, but there is none. "
        "Give world coordinates, or resample_to to a sequence that everybody has: FA, MD."
    )


def test_a_reference_that_cannot_be_read_is_the_only_problem(tmp_path, images):
    """Although MD lies far from FA, of which nobody asked that it be the reference."""
    images["MD"] = noise((11, 13, 9), affine_of([2, 1.5, 3], [300, -9, -12]))
    folder = write_cohort(tmp_path, images, [SITE])
    (folder / "sub" / "T1Gd.nii").write_bytes(b"")
    (line,) = problems_of(folder, resample_to="T1Gd")
    assert line == "sub/T1Gd.nii: a readable NIfTI file is needed, but it is empty."


def test_what_lies_elsewhere_altogether_is_a_problem(tmp_path, images):
    images["MD"] = noise((11, 13, 9), affine_of([2, 1.5, 3], [300, -9, -12]))
    (line,) = problems_of(write_cohort(tmp_path, images, [SITE]), resample_to="T1Gd")
    assert line.startswith(
        "sub/MD.nii: what is resampled to sub/T1Gd.nii must overlap it, but its centre lies 31"
    )
    assert line.endswith("mm away. Are they registered?")


def test_files_that_are_placed_nowhere_cannot_be_resampled(tmp_path, images):
    images["MD"] = unplaced(images["MD"])
    (line,) = problems_of(write_cohort(tmp_path, images, [[9, 9, 8]], "voxel"), resample_to="T1Gd")
    assert line == ("sub/MD.nii: resampling needs placed grids, but sform_code and qform_code are both 0.")
    alone = extract(tmp_path, sequences=["MD"])
    assert alone.present.all()
