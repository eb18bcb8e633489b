from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from data_prep.cohort import read_cohort
from data_prep.patches import PatchRequest, extract_patches
from data_prep.problems import InputError

BOTH = ("T1", "T2")


def rewrite_images(folder: Path, change) -> None:
    for path in folder.glob("sub-*/*.nii.gz"):
        image = nib.load(path)
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
        nib.save(change(image), path)


def rewrite_sites(folder: Path, change) -> None:
    header, *lines = (folder / "biopsies.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    for row in rows:
        row[2:5] = [repr(float(value)) for value in change(np.array(row[2:5], dtype=float))]
    (folder / "biopsies.tsv").write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")


def extract(folder: Path, radius: int = 2, **options):
    return extract_patches(read_cohort(folder), PatchRequest(BOTH, radius, **options))


def test_axes_run_left_to_right_and_back_to_front(cohort_folder):
    def ramps(image):
        x, y, z = np.meshgrid(*(np.arange(12.0),) * 3, indexing="ij")
        return nib.Nifti1Image(x + 20 * y + 400 * z, image.affine)

    rewrite_images(cohort_folder, ramps)
    patches = extract(cohort_folder)
    x, y, z = np.add(read_cohort(cohort_folder).biopsies[0].position, 6)
    assert patches.raw.shape == (8, 5, 5, 2)
    assert patches.raw[0, 0, 0, 0] == (x - 2) + 20 * (y - 2) + 400 * z
    assert patches.raw[0, 3, 0, 0] - patches.raw[0, 2, 0, 0] == 1
    assert patches.raw[0, 0, 3, 0] - patches.raw[0, 0, 2, 0] == 20


def test_all_48_orientations_give_identical_patches(tmp_path, make_cohort):
    folder = make_cohort(tmp_path, participants=1, biopsies=3, sequences=BOTH, size=12)
    expected = extract(folder, slices=3)
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        orientation = np.array(list(zip(axes, signs, strict=True)))
        rewrite_images(folder, lambda image, o=orientation: image.as_reoriented(o))
        assert extract(folder, slices=3).hash == expected.hash


def test_lps_coordinates_give_the_patches_of_ras_coordinates(cohort_folder):
    expected = extract(cohort_folder)
    rewrite_sites(cohort_folder, lambda site: site * [-1, -1, 1])
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('convention = "LPS"\n')
    assert extract(cohort_folder).hash == expected.hash


def test_scaled_integers_give_the_scaled_values(cohort_folder):
    def scaled(image):
        data = np.asarray(image.dataobj)
        scaled = nib.Nifti1Image(np.rint(data / 0.25).astype(np.int16), image.affine)
        scaled.header.set_slope_inter(0.25, 0)
        return scaled

    floats = extract(cohort_folder)
    rewrite_images(cohort_folder, scaled)
    integers = extract(cohort_folder)
    assert integers.raw == pytest.approx(floats.raw, abs=0.126)
    assert np.array_equal(integers.raw * 4, np.rint(integers.raw * 4))


def lookup(image: nib.Nifti1Image, data: np.ndarray, site: tuple[float, ...], radius: int) -> np.ndarray:
    """The patch of a world site, looked up voxel by voxel in the file as stored."""
    patch = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    to_voxel = np.linalg.inv(image.affine)
    for i, j in np.ndindex(patch.shape):
        voxel = np.rint(to_voxel @ [site[0] + i - radius, site[1] + j - radius, site[2], 1])[:3].astype(int)
        if all(0 <= v < n for v, n in zip(voxel, data.shape, strict=True)):
            patch[i, j] = data[tuple(voxel)]
    return patch


def test_real_sites_equal_an_independent_lookup(shared_cohort):
    folder = shared_cohort("glioma_mr_case")
    cohort = read_cohort(folder)
    patches = extract_patches(cohort, PatchRequest(cohort.sequences, 8))
    assert patches.raw.shape == (12, 17, 17, 4)
    for channel, name in enumerate(cohort.sequences):
        image = nib.load(folder / "sub-01" / f"{name}.nii.gz")
        data = image.get_fdata()
        for row, biopsy in enumerate(cohort.biopsies):
            expected = lookup(image, data, biopsy.position, 8)
            assert np.array_equal(patches.raw[row, :, :, channel], expected)


def test_real_volumes_resaved_in_ras_give_the_same_patches(shared_cohort, tmp_path):
    folder = shared_cohort("glioma_mr_case")
    (tmp_path / "sub-01").mkdir()
    for name in ("biopsies.tsv", "cohort.toml"):
        (tmp_path / name).write_text((folder / name).read_text())
    for path in (folder / "sub-01").glob("*.nii.gz"):
        ras = nib.as_closest_canonical(nib.load(path))
        nib.save(ras, tmp_path / "sub-01" / path.name.removesuffix(".gz"))
    toml = tmp_path / "cohort.toml"
    toml.write_text(toml.read_text().replace(".nii.gz", ".nii"))
    cohort = read_cohort(folder)
    request = PatchRequest(cohort.sequences, 16)
    assert extract_patches(read_cohort(tmp_path), request).hash == extract_patches(cohort, request).hash


def test_smaller_radii_are_crops_of_larger_ones(cohort_folder):
    large, small = extract(cohort_folder, 8, slices=3), extract(cohort_folder, 3, slices=3)
    assert np.array_equal(large.images(3), small.images(3))
    assert np.array_equal(large.raw_images(3), small.raw)
    assert large.padded(3).tolist() == small.padded(3).tolist()
    with pytest.raises(InputError, match="patch radius: 0 to 3 were extracted, but got 4"):
        small.images(4)


def test_padded_voxels_are_counted_over_the_slices_of_one_channel(cohort_folder):
    patches = extract(cohort_folder, 8, slices=3)
    expected = []
    for biopsy in read_cohort(cohort_folder).biopsies:
        x, y, z = np.add(biopsy.position, 6)
        cube = product(np.arange(x - 8, x + 9), np.arange(y - 8, y + 9), (z - 1, z, z + 1))
        expected.append(sum(not all(0 <= at < 12 for at in voxel) for voxel in cube))
    assert min(expected) > 0
    assert patches.padded(8).tolist() == expected
    assert not patches.raw.reshape(8, 17, 17, 3, 2)[patches.padding].any()


def test_slices_are_stacked_from_the_lowest_up(cohort_folder):
    three, one = extract(cohort_folder, slices=3), extract(cohort_folder)
    rewrite_sites(cohort_folder, lambda site: site + np.array([0, 0, 1]))
    above = extract(cohort_folder)
    assert three.channel_names == ("T1[-1]", "T2[-1]", "T1", "T2", "T1[+1]", "T2[+1]")
    assert np.array_equal(three.raw[..., 2:4], one.raw)
    assert np.array_equal(three.raw[..., 4:], above.raw)
    assert np.array_equal(three.images(2)[..., 2:4], one.images(2))


def test_images_are_scored_by_the_voxels_that_are_not_zero(cohort_folder):
    patches = extract(cohort_folder)
    data = nib.load(cohort_folder / "sub-001" / "T2.nii.gz").get_fdata()
    assert patches.images(2)[1, ..., 1] == pytest.approx(
        (patches.raw[1, ..., 1] - data.mean()) / data.std(), abs=1e-4
    )
    plain = extract(cohort_folder, normalisation="none")
    assert np.array_equal(plain.images(2), plain.raw)


def test_images_are_scored_inside_the_brain_mask_of_those_who_have_one(cohort_folder):
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('[masks]\nbrain = "{participant_id}/brain.nii.gz"\n')
    image = nib.load(cohort_folder / "sub-000" / "T1.nii.gz")
    mask = np.zeros((12, 12, 12), np.uint8)
    mask[3:7] = 4
    nib.save(nib.Nifti1Image(mask, image.affine), cohort_folder / "sub-000" / "brain.nii.gz")
    patches = extract(cohort_folder)
    assert patches.mean[0, 0] == pytest.approx(image.get_fdata()[3:7].mean(), rel=1e-5)
    assert patches.std[0, 0] == pytest.approx(image.get_fdata()[3:7].std(), rel=1e-5)


def test_an_absent_sequence_is_zero_after_normalisation(tmp_path, make_cohort):
    folder = make_cohort(tmp_path, participants=3, biopsies=6, size=10, missing={(1, "T2")}, sequences=BOTH)
    patches = extract(folder, 4)
    assert patches.present.tolist() == [[True, True], [True, False], [True, True]] * 2
    assert not patches.images(4)[[1, 4], ..., 1].any()
    assert patches.images(4)[[0, 2], ..., 1].any()
    alone = extract_patches(read_cohort(folder), PatchRequest(("T2",), 4))
    assert np.array_equal(alone.padded(4), patches.padded(4))


def test_the_spacing_of_the_image_gives_its_own_voxels(cohort_folder):
    own = extract(cohort_folder, 4)
    assert np.array_equal(extract(cohort_folder, 4, spacing_mm=1.0).raw, own.raw)
    fine = extract(cohort_folder, 8, spacing_mm=0.5)
    inside = ~own.padding[..., 0]
    assert fine.raw[:, ::2, ::2][inside] == pytest.approx(own.raw[inside], abs=1e-2)


def as_hospitals_store_it(folder: Path, rng: np.random.Generator) -> None:
    """Scaled integers, air around the head, each file in an order of its own; brain masks of half of them."""
    for path in sorted(folder.glob("sub-*/T?.nii.gz")):
        image = nib.load(path)
        stored = np.rint(image.get_fdata() / 0.3).astype(np.int16)
        stored[:3] = stored[:, -2:] = 0
        mask = nib.Nifti1Image((rng.random(image.shape) < 0.6).astype(np.uint8), image.affine)
        scan = nib.Nifti1Image(stored, image.affine)
        for new, name in ((scan, path.name), (mask, "brain.nii.gz")):
            order = np.column_stack([rng.permutation(3), rng.choice([1, -1], 3)])
            turned = new.as_reoriented(order)
            if name == path.name:
                turned.header.set_slope_inter(0.3, 0)
                turned = nib.Nifti1Image(turned.get_fdata(), turned.affine, turned.header)
            elif path.parent.name in ("sub-002", "sub-003"):
                continue
            nib.save(turned, path.with_name(name))
    with (folder / "cohort.toml").open("a") as file:
        file.write('[masks]\nbrain = "{participant_id}/brain.nii.gz"\n')


def by_a_simple_loop(folder: Path, radius: int, spacing: float) -> np.ndarray:
    """Whole volumes by nibabel, filtered and splined as a whole, z-scored; three slices."""
    images = []
    for biopsy in read_cohort(folder).biopsies:
        home, channels = folder / biopsy.participant_id, []
        for sequence in BOTH:
            data = nib.as_closest_canonical(nib.load(home / f"{sequence}.nii.gz")).get_fdata()
            inside = data != 0
            if (home / "brain.nii.gz").exists():
                inside = nib.as_closest_canonical(nib.load(home / "brain.nii.gz")).get_fdata() != 0
            smooth = gaussian_filter(
                data, np.sqrt(max(spacing**2 - 1, 0)) / 2.3548200450309493, mode="nearest"
            )
            x, y, z = np.add(biopsy.position, 12)
            at = np.mgrid[-radius : radius + 1, -radius : radius + 1, -1:2] * spacing
            at += np.reshape([x, y, z], (3, 1, 1, 1))
            patch = map_coordinates(smooth, at, order=3, mode="nearest")
            patch[((at < -0.5) | (at > 23.5)).any(axis=0)] = 0
            channels.append((patch - data[inside].mean()) / data[inside].std())
        images.append(np.stack(channels, axis=-1).reshape(2 * radius + 1, 2 * radius + 1, -1))
    return np.array(images)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("radius", "spacing"), [(5, 1.0), (4, 0.7), (3, 2.2)])
def test_patches_equal_those_of_a_simple_loop_over_whole_volumes(
    tmp_path, make_cohort, monkeypatch, seed, radius, spacing
):
    folder = make_cohort(tmp_path, participants=4, biopsies=10, sequences=BOTH, size=24, seed=seed)
    as_hospitals_store_it(folder, np.random.default_rng(seed))
    monkeypatch.setattr("data_prep.volumes._SLAB_BYTES", 24 * 24 * 2 * 5)
    patches = extract(folder, radius, slices=3, spacing_mm=spacing)
    expected = by_a_simple_loop(folder, radius, spacing)
    assert patches.images(radius) == pytest.approx(expected, abs=2e-5)


def test_taken_rows_keep_names_and_values(cohort_folder):
    patches = extract(cohort_folder)
    some = patches.take([5, 0])
    assert (some.biopsy_id, some.participant_id) == (("b05", "b00"), ("sub-001", "sub-000"))
    assert np.array_equal(some.images(1), patches.images(1)[[5, 0]])
    assert some.hash != patches.hash
    assert patches.take(range(8)).hash == patches.hash


def test_patches_cannot_be_written_to(cohort_folder):
    with pytest.raises(ValueError, match="read-only"):
        extract(cohort_folder).raw[0] = 1


def test_problems_of_all_participants_come_together(cohort_folder):
    cohort = read_cohort(cohort_folder)
    for name in ("sub-000/T1.nii.gz", "sub-002/T2.nii.gz"):
        (cohort_folder / name).write_bytes((cohort_folder / name).read_bytes()[:-2000])
    (cohort_folder / "sub-003" / "T1.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match="truncated") as caught:
        extract_patches(cohort, PatchRequest(BOTH, 2))
    files = [line.split(":")[0] for line in caught.value.problems]
    assert sorted(files) == ["sub-000/T1.nii.gz", "sub-002/T2.nii.gz", "sub-003/T1.nii.gz"]


def test_images_that_vanished_since_the_tables_were_read_are_a_problem(cohort_folder):
    cohort = read_cohort(cohort_folder)
    for name in ("T1", "T2"):
        (cohort_folder / "sub-001" / f"{name}.nii.gz").unlink()
    with pytest.raises(InputError, match="at least one image of the biopsy must exist") as caught:
        extract_patches(cohort, PatchRequest(BOTH, 2))
    assert [line.split(":")[1] for line in caught.value.problems] == [" row 3", " row 7"]


def test_progress_is_told_by_participant(cohort_folder):
    done = []
    extract_patches(read_cohort(cohort_folder), PatchRequest(BOTH, 1), lambda *at: done.append(at))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"slices": 2}, "slices: an odd number is needed, but got 2"),
        ({"radius": -1}, "patch radius: 0 to 256 voxels are possible, but got -1"),
        ({"spacing_mm": 0.0}, "spacing_mm: 0.1 to 10 mm are possible, but got 0.0"),
        ({"spacing_mm": float("nan")}, "spacing_mm: 0.1 to 10 mm are possible, but got nan"),
        ({"normalisation": "minmax"}, "normalisation: unknown method 'minmax'; Known: none"),
        ({"sequences": ()}, "sequences: at least one"),
    ],
)
def test_an_illegal_request_is_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        PatchRequest(**{"sequences": BOTH, "radius": 2, **options})


def test_an_unknown_sequence_is_refused(cohort_folder):
    with pytest.raises(InputError, match="sequences: unknown name 'T3'; Known: T1, T2"):
        extract_patches(read_cohort(cohort_folder), PatchRequest(("T3",), 2))


def test_an_unknown_reference_is_refused(cohort_folder):
    with pytest.raises(InputError, match="resample_to: unknown name 'T1gd'; did you mean 'T1'"):
        extract(cohort_folder, resample_to="T1gd")


def test_files_on_the_reference_s_grid_stay_as_they_are_bit_for_bit(cohort_folder):
    plain, asked = extract(cohort_folder, 3), extract(cohort_folder, 3, resample_to="T2")
    for name, array in plain.arrays().items():
        assert np.array_equal(array, asked.arrays()[name])


@pytest.fixture
def cropped_folder(cohort_folder):
    """T2 of every participant without its lowest five and uppermost two voxels along each axis."""
    for path in cohort_folder.glob("sub-*/T2.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine).slicer[5:10, 5:10, 5:10], path)
    return cohort_folder


def test_a_sequence_that_does_not_see_a_site_is_absent_there_alone(cropped_folder):
    sites = np.array([biopsy.position for biopsy in read_cohort(cropped_folder).biopsies]) + 6
    seen = ((sites >= 5) & (sites < 10)).all(axis=1)
    assert 0 < seen.sum() < len(seen)
    patches = extract(cropped_folder, 3, resample_to="T1")
    assert patches.present.tolist() == [[True, bool(here)] for here in seen]
    assert not patches.raw[~seen, ..., 1].any()
    assert not patches.images(3)[~seen, ..., 1].any()
    assert patches.mean[~seen, 1].tolist() == [0.0] * int((~seen).sum())


def test_what_a_cropped_sequence_still_has_is_copied_and_the_rest_is_air(cropped_folder):
    patches = extract(cropped_folder, 3, resample_to="T1")
    for row, biopsy in enumerate(read_cohort(cropped_folder).biopsies):
        data = nib.load(cropped_folder / biopsy.participant_id / "T2.nii.gz").get_fdata()
        x, y, z = np.add(biopsy.position, 6).astype(int)
        expected = np.zeros((7, 7))
        for i, j in np.ndindex(7, 7):
            at = np.array([x - 3 + i, y - 3 + j, z]) - 5
            if ((at >= 0) & (at < 5)).all():
                expected[i, j] = data[tuple(at)]
        if patches.present[row, 1]:
            assert np.array_equal(patches.raw[row, ..., 1], expected.astype(np.float32))
            # Padding is what the reference lacks.
            assert patches.padding[row].any() == any(not 3 <= c < 9 for c in (x, y))


def test_what_a_sequence_has_beyond_the_grid_of_the_reference_is_padding(cohort_folder):
    for path in cohort_folder.glob("sub-*/T1.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine).slicer[3:9, 3:9, 3:9], path)
    patches = extract(cohort_folder, 3, resample_to="T1")
    assert patches.present.all()
    for row, biopsy in enumerate(read_cohort(cohort_folder).biopsies):
        data = nib.load(cohort_folder / biopsy.participant_id / "T2.nii.gz").get_fdata()
        x, y, z = np.add(biopsy.position, 6).astype(int)
        expected = np.pad(data[3:9, 3:9, z], 3)[x - 3 : x + 4, y - 3 : y + 4].astype(np.float32)
        assert np.array_equal(patches.raw[row, ..., 1], expected)
        assert np.array_equal(patches.padding[row, ..., 0], expected == 0)


def test_a_brain_mask_on_another_grid_is_taken_to_each_image(cohort_folder):
    """Blocks of 2 x 2 x 2 voxels, so that each voxel's nearest in the mask is the block that holds it."""
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('[masks]\nbrain = "{participant_id}/brain.nii.gz"\n')
    blocks = np.random.default_rng(1).random((6, 6, 6)) < 0.4
    affine = nib.affines.from_matvec(np.diag([2.0, 2.0, 2.0]), [-5.5, -5.5, -5.5])
    mask = nib.Nifti1Image(blocks.astype(np.uint8), affine).as_reoriented(
        np.array([[2, -1], [0, 1], [1, -1]])
    )
    nib.save(mask, cohort_folder / "sub-000" / "brain.nii.gz")
    with pytest.raises(InputError, match=r"sub-000/brain.nii.gz: .*Set resample_to"):
        extract(cohort_folder)
    patches = extract(cohort_folder, resample_to="T1")
    inside = blocks.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    data = nib.load(cohort_folder / "sub-000" / "T2.nii.gz").get_fdata()[inside]
    assert patches.mean[0, 1] == pytest.approx(data.mean(), rel=1e-6)
    assert patches.std[0, 1] == pytest.approx(data.std(), rel=1e-6)


def test_a_brain_mask_that_is_zero_everywhere_is_a_problem(cohort_folder):
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('\n[masks]\nbrain = "{participant_id}/brain.nii.gz"\n')
    for folder in cohort_folder.glob("sub-*"):
        image = nib.load(folder / "T1.nii.gz")
        inside = np.zeros(image.shape, dtype=np.uint8)
        inside[4:8, 4:8, 4:8] = folder.name != "sub-002"
        nib.save(nib.Nifti1Image(inside, image.affine), folder / "brain.nii.gz")
    with pytest.raises(InputError, match="a brain mask must be true somewhere") as caught:
        extract(cohort_folder)
    (line,) = caught.value.problems
    assert line.startswith("sub-002/brain.nii.gz: ")
