from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.augment_spec import AugmentSpec, margin
from data_prep.augmentation import epoch_generator, epochs, replay
from data_prep.cohort import read_cohort
from data_prep.fold_input import FoldInput, fit_input
from data_prep.inputs import MISSING, channel_layout, input_channels, lay_out
from data_prep.patches import PatchRequest, PatchSet, extract_patches
from data_prep.problems import InputError
from tests.data_prep.placed import affine_of, extract, noise, write_cohort

METHODS = ("zscore", "none", "nyul", "robust")
NAMES = ("T1", "FA", "T2", "FLAIR")
PERCENTILES = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)
FITTED = ("known", "location", "spread", "standard", "fill")
RADIUS = 3
SEEDS = st.integers(0, 2**32 - 1)
ROWS = st.permutations(range(12)).map(lambda order: np.array(order[:7]))
# Nothing that touches geometry: patches stay where those of the plain images are.
BRIGHTER = AugmentSpec(intensity_scale=0.3, intensity_shift=0.5, channel_dropout=0.4)
EVERYTHING = AugmentSpec(True, "free", 180.0, 1.0, 0.3, 0.5, 0.4)


def patch_set(seed: int = 0, methods=METHODS, slices: int = 1, absent: float = 0.25, n: int = 12) -> PatchSet:
    """Two biopsies a participant, whose images have landmarks, mean and deviation of their own.

    The first biopsy's patches are padded at one edge; the second sequence ends within some others.
    """
    rng = np.random.default_rng(seed)
    count, edge = len(methods), 2 * (RADIUS + 2) + 1
    present = np.repeat(rng.random((n // 2, count)) >= absent, 2, axis=0)
    present[:, 0] = True
    everywhere = np.tile(present, slices)[:, None, None, :]
    padding = np.zeros((n, edge, edge, slices), dtype=bool)
    padding[0, :4] = True
    unseen = np.zeros((n, edge, edge, slices, count), dtype=bool)
    unseen[2:6, :, 7:, :, 1] = present[2:6, None, None, None, 1]
    unseen = unseen.reshape(n, edge, edge, -1)
    gain = np.repeat(rng.uniform(1, 20, (n // 2, count)), 2, axis=0)
    raw = np.tile(gain, slices)[:, None, None] * rng.gamma(3.0, 1.0, (n, edge, edge, slices * count))
    raw *= everywhere & ~np.repeat(padding, count, axis=3) & ~unseen
    tissue = np.percentile(rng.gamma(2.0, 1.0, 5000), PERCENTILES)
    fitted = np.array([method in ("none", "nyul") for method in methods])
    return PatchSet(
        raw=raw.astype(np.float32),
        padding=padding,
        present=present,
        mean=np.where(present & ~fitted, 2 * gain, 0).astype(np.float32),
        std=np.where(present & ~fitted, gain, 1).astype(np.float32),
        landmarks=(gain * present * [m == "nyul" for m in methods])[..., None].astype(np.float32)
        * tissue.astype(np.float32),
        voxel_mm=np.ones((n, 2)),
        biopsy_id=tuple(f"b{k:02}" for k in range(n)),
        participant_id=tuple(f"sub-{k // 2:03}" for k in range(n)),
        request=PatchRequest(NAMES[:count], RADIUS + 2, slices, normalisation=tuple(methods)),
        unseen=unseen,
    )


def same_bytes(one: FoldInput, other: FoldInput) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in FITTED]
    return all(
        mine is theirs if mine is None or theirs is None else mine.tobytes() == theirs.tobytes()
        for mine, theirs in pairs
    )


def scrambled(patches: PatchSet, rows: np.ndarray, factor: float = 3.0) -> PatchSet:
    """Other images in some rows."""
    arrays = {name: array.copy() for name, array in patches.arrays().items() if name not in ("present",)}
    for name in ("raw", "mean", "std"):
        arrays[name][rows] *= np.float32(factor)
    arrays["landmarks"][rows] = np.float32(factor) * arrays["landmarks"][rows] ** 2 + 1
    return replace(patches, **arrays)


@settings(max_examples=30)
@given(SEEDS, ROWS, st.sampled_from(MISSING), st.integers(0, RADIUS))
def test_images_of_test_rows_change_nothing_that_is_fitted(seed, rows, missing, radius):
    patches = patch_set(seed)
    others = np.setdiff1d(np.arange(12), rows)
    fold = fit_input(patches, rows, radius, missing)
    assert same_bytes(fit_input(scrambled(patches, others), rows, radius, missing), fold)


@settings(max_examples=30)
@given(SEEDS, ROWS)
def test_images_of_training_rows_change_every_fit(seed, rows):
    patches = patch_set(seed, absent=0.0)
    fold, other = (
        fit_input(source, rows, RADIUS, "mean") for source in (patches, scrambled(patches, rows[:1]))
    )
    for name in ("location", "spread", "fill"):
        assert not np.array_equal(getattr(fold, name), getattr(other, name))
    assert not np.array_equal(fold.standard[2], other.standard[2])


def test_voxels_beyond_a_sequence_s_own_field_of_view_are_in_no_fit(tmp_path):
    """A map that ends three voxels beside the site: its units are those of tissue, not of zeros beyond."""
    affine = affine_of([1, 1, 1], [0, 0, 0])
    images = {"T1": noise((24, 24, 12), affine), "FA": noise((13, 24, 12), affine, 1)}
    folder = write_cohort(tmp_path, images, [[10, 10, 6], [9, 11, 5], [10, 12, 6]])
    patches = extract(folder, 5, resample_to="T1", normalisation=("zscore", "none"))
    fold = fit_input(patches, np.arange(2), 5, "mean")
    world = np.asarray(images["FA"].dataobj)
    tissue = np.concatenate([world[5:13, 5:16, 6].ravel(), world[4:13, 6:17, 5].ravel()])
    assert (fold.location[1], fold.spread[1]) == pytest.approx((tissue.mean(), tissue.std()))
    first, second = (fold.normalised(patches).images(5)[row, ..., 1] for row in (0, 1))
    both = (first[:8] + second[:8]) / 2
    assert fold.fill[:8, :, 1] == pytest.approx(both, abs=1e-5)
    assert fold.fill[8, :, 1] == pytest.approx(second[8], abs=1e-5)
    assert not fold.fill[9:, :, 1].any()
    # Shown like padded voxels: as an intensity of 0.
    assert first[8:] == pytest.approx(-fold.location[1] / fold.spread[1], abs=1e-5)


def test_corrupt_images_of_test_participants_leave_the_training_fold_as_it_was(tmp_path, make_cohort):
    folder = make_cohort(tmp_path, participants=4, biopsies=8, size=12, sequences=("T1", "T2", "FA"))
    request = PatchRequest(("T1", "T2", "FA"), 2, normalisation=("nyul", "robust", "none"))
    train = np.array([0, 1, 4, 5])  # of participants 0 and 1

    def look() -> tuple[FoldInput, bytes]:
        patches = extract_patches(read_cohort(folder), request)
        fold = fit_input(patches, train, 2, "mean")
        return fold, fold.images(patches)[train].tobytes()

    before, images = look()
    for path in (folder / "sub-003").iterdir():
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::-1] ** 2, image.affine), path)
    after, again = look()
    assert same_bytes(before, after)
    assert images == again
    path = folder / "sub-001" / "T1.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj) ** 2, nib.load(path).affine), path)
    assert not same_bytes(before, look()[0])


@pytest.mark.parametrize("methods", [("zscore",) * 4, ("robust", "zscore", "white-matter", "robust")])
@pytest.mark.parametrize("missing", ["drop", "zero", "mask"])
def test_what_each_image_says_alone_is_shown_bit_for_bit_as_without_a_fold(methods, missing):
    patches, rows = patch_set(1, methods, slices=3), np.array([3, 0, 8])
    fold = fit_input(patches, rows, RADIUS, missing)
    assert fold.normalised(patches) is patches
    assert fold.channels == input_channels(patches, missing)
    layout = channel_layout(patches, missing)
    assert fold.images(patches).tobytes() == lay_out(patches, RADIUS, layout).tobytes()
    spec = replace(EVERYTHING, rotation="quarter")
    mine = fold.augmenter(spec, patches, rows)
    plain = epochs(spec, patches.take(rows), RADIUS, layout)
    for epoch in (1, 2):
        assert mine(epoch_generator(5, epoch)).tobytes() == plain(epoch_generator(5, epoch)).tobytes()


@settings(max_examples=20)
@given(SEEDS, ROWS, st.integers(0, RADIUS))
def test_maps_are_in_units_of_the_training_fold(seed, rows, radius):
    patches = patch_set(seed, slices=3)
    fold = fit_input(patches, rows, radius, "zero")
    inner = slice(RADIUS + 2 - radius, RADIUS + 3 + radius)
    voxels = [
        patches.raw[row, inner, inner, 1 + 4 * s][
            ~patches.padding[row, inner, inner, s] & ~patches.unseen[row, inner, inner, 1 + 4 * s]
        ]
        for row in rows
        for s in range(3)
        if patches.present[row, 1]
    ]
    if not voxels:
        assert not fold.known[1]
        return
    values = np.concatenate(voxels).astype(np.float64)
    assert (fold.location[1], fold.spread[1]) == pytest.approx((values.mean(), values.std()))
    shown = fold.images(patches)[patches.present[:, 1]][..., 1::4]
    raw = patches.raw_images(radius)[patches.present[:, 1]][..., 1::4]
    assert shown == pytest.approx((raw - values.mean()) / values.std(), abs=1e-4)


@settings(max_examples=20)
@given(SEEDS, ROWS)
def test_the_standard_histogram_is_the_mean_of_the_training_fold_s_each_image_once(seed, rows):
    """Of 7 rows some share an image and one does not; histograms are bent, each image's in its own way."""
    patches = patch_set(seed, absent=0.0)
    marks = patches.landmarks.copy()
    marks[:, 2] **= np.repeat(np.linspace(0.5, 2.0, 6), 2)[:, None]
    fold = fit_input(replace(patches, landmarks=marks), rows, RADIUS, "zero")
    owners = {patches.participant_id[row]: marks[row, 2].astype(float) for row in rows}
    stretched = [100 * (own - own[0]) / (own[-1] - own[0]) for own in owners.values()]
    assert fold.standard[2] == pytest.approx(np.mean(stretched, axis=0), rel=1e-5)


@settings(max_examples=20)
@given(SEEDS, ROWS)
def test_histograms_are_matched_to_the_standard_one(seed, rows):
    patches = patch_set(seed, absent=0.0)
    fold = fit_input(patches, rows, RADIUS, "zero")
    normal = fold.normalised(patches)
    # All images are one histogram seen through gains of their own, which are gone.
    gains = patches.landmarks[:, 2, 5:6, None] / patches.landmarks[0, 2, 5]
    same = replace(patches, raw=patches.raw[:1] * np.ones((12, 1, 1, 1), np.float32) * gains[..., None, :])
    shown = fold.images(same)[..., 2]
    assert shown == pytest.approx(np.broadcast_to(shown[:1], shown.shape), abs=1e-3)
    assert normal.mean[:, 2] == pytest.approx(np.full(12, fold.location[2]))


@settings(max_examples=10)
@given(SEEDS, ROWS, st.sampled_from(MISSING))
def test_normalising_twice_does_no_more_than_once(seed, rows, missing):
    patches = patch_set(seed, slices=3)
    fold = fit_input(patches, rows, RADIUS, missing)
    once = fold.normalised(patches)
    assert fold.normalised(once).hash == once.hash != patches.hash


def test_the_patches_that_were_fitted_stay_as_they_were():
    patches = patch_set()
    before = patches.hash
    fit_input(patches, np.arange(6), RADIUS, "mean").images(patches)
    assert patch_set().hash == before == replace(patches).hash


@settings(max_examples=20)
@given(SEEDS, ROWS, st.sampled_from([1, 3]))
def test_the_mean_patch_is_that_of_the_training_rows_that_have_the_sequence(seed, rows, slices):
    patches = patch_set(seed, slices=slices, absent=0.4)
    fold = fit_input(patches, rows, RADIUS, "mean")
    normal = fold.normalised(patches)
    images, shown = normal.images(RADIUS), fold.images(patches)
    for channel, row in np.ndindex(4 * slices, 12):
        expected = images[row, ..., channel]
        if not normal.present[row, channel % 4]:
            expected = np.zeros_like(expected)
            for i, j in np.ndindex(expected.shape):
                at = (2 + i, 2 + j, channel)
                donors = [
                    images[k, i, j, channel]
                    for k in rows
                    if normal.present[k, channel % 4]
                    and not (patches.padding[k, 2 + i, 2 + j, channel // 4] or patches.unseen[k][at])
                ]
                expected[i, j] = np.mean(donors) if donors else 0.0
        assert shown[row, ..., channel] == pytest.approx(expected, abs=1e-5)


def test_zero_is_the_mean_of_the_brain_and_the_fill_that_of_the_biopsies():
    """Tumours are brighter than the brain's mean, which is what a z-score takes for 0."""
    patches = patch_set(2, ("zscore", "zscore"), absent=0.4)
    bright = replace(
        patches,
        unseen=None,
        raw=patches.raw
        + 4 * np.repeat(patches.std, 1, axis=1)[:, None, None] * (patches.present[:, None, None]),
    )
    rows = np.arange(2, 8)  # none of them is padded
    lacking = np.flatnonzero(~patches.present[:, 1])
    zero, mean = (fit_input(bright, rows, RADIUS, missing).images(bright) for missing in ("zero", "mean"))
    assert not zero[lacking, ..., 1].any()
    having = [row for row in rows if patches.present[row, 1]]
    assert mean[lacking, ..., 1].mean() == pytest.approx(zero[having, ..., 1].mean(), abs=1e-4)
    assert mean[lacking, ..., 1].mean() > 4
    assert np.array_equal(mean[patches.present[:, 1]], zero[patches.present[:, 1]])


@settings(max_examples=12)
@given(st.integers(0, 2**31 - 1), st.sampled_from([1, 3]))
def test_a_dropped_sequence_is_shown_as_an_absent_one_is(seed, slices):
    patches, rows = patch_set(3, slices=slices), np.array([0, 2, 5, 7, 8, 11])
    drawn = replay(BRIGHTER, patches.present[rows], 1.0, seed, 1)
    hidden = ~patches.present[rows] | drawn.dropped
    for missing in MISSING:
        fold = fit_input(patches, rows, RADIUS, missing)
        shown = fold.augmenter(BRIGHTER, patches, rows)(epoch_generator(seed, 1))
        plain = fold.images(patches)[rows]
        for k, sequence in np.ndindex(hidden.shape):
            part = shown[k, ..., sequence : 4 * slices : 4]
            if not hidden[k, sequence]:
                image = plain[k, ..., sequence : 4 * slices : 4]
                expected = image * drawn.gain[k, sequence] + drawn.offset[k, sequence]
                assert part == pytest.approx(expected, rel=1e-5, abs=1e-4)
            elif missing == "mean":
                # The fill as it is: neither gain nor offset.
                assert np.array_equal(part, fold.fill[..., sequence::4])
            else:
                assert not part.any()
        for channel, sequence in enumerate(fold.layout.presence):
            assert np.array_equal(shown[:, 0, 0, 4 * slices + channel], ~hidden[:, sequence])


def test_a_fill_is_neither_moved_nor_turned():
    patches, rows = patch_set(4), np.arange(10)
    fold = fit_input(patches, rows, 1, "mean")
    spec = AugmentSpec(flip=True, rotation="free", jitter_mm=1.0)
    assert margin(spec, 1, 1.0) <= 4
    shown = fold.augmenter(spec, patches, rows)(epoch_generator(1, 1))
    absent = ~patches.present[rows]
    assert absent.any()
    for k, sequence in np.argwhere(absent):
        assert np.array_equal(shown[k, ..., sequence], fold.fill[..., sequence])


def test_nothing_varied_gives_the_plain_images():
    patches, rows = patch_set(5, slices=3), np.array([4, 1, 9])
    for missing in MISSING:
        fold = fit_input(patches, rows, RADIUS, missing)
        plain = fold.augmenter(AugmentSpec(), patches, rows)(epoch_generator(0, 1))
        assert np.array_equal(plain, fold.images(patches)[rows])


def test_presence_channels_are_those_of_the_whole_cohort():
    patches = patch_set(0)
    lacking = np.flatnonzero(~patches.present.all(axis=0))
    complete = np.flatnonzero(patches.present.all(axis=1))
    fold = fit_input(patches, complete, RADIUS, "mask")
    assert fold.channels[4:] == tuple(f"has:{NAMES[column]}" for column in lacking)
    # A second scan with everything has the same channels.
    whole = patches.take(complete)
    assert fold.images(whole).shape[3] == len(fold.channels) == fold.layout.channels
    assert (fold.images(whole)[..., 4:] == 1).all()


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("methods", [METHODS, ("zscore", "robust", "white-matter", "zscore")])
def test_a_sequence_that_no_training_row_has_is_shown_as_absent_whatever_its_method(methods, missing):
    patches, rows = patch_set(6, methods, absent=0.0), np.arange(4)
    arrays = {name: array.copy() for name, array in patches.arrays().items()}
    for name, blank in (("present", False), ("mean", 0), ("std", 1), ("landmarks", 0)):
        arrays[name][rows, 1:3] = blank
    arrays["raw"][rows, ..., 1:3] = 0
    lacking = replace(patches, **arrays)
    fold = fit_input(lacking, rows, RADIUS, missing)
    assert fold.known.tolist() == [True, False, False, True]
    shown = fold.images(lacking)
    assert not shown[..., 1:3].any()
    assert shown[..., [0, 3]].any()
    assert not shown[..., 4:].any()
    hidden = fold.normalised(lacking)
    assert not hidden.present[:, 1:3].any()
    assert not hidden.raw_images(RADIUS)[..., 1:3].any()
    assert fold.normalised(hidden).hash == hidden.hash
    if methods[0] == methods[3]:  # nothing else is changed, and who has neither stays as they are
        assert np.array_equal(hidden.images(RADIUS)[..., [0, 3]], lacking.images(RADIUS)[..., [0, 3]])
        alone = lacking.take(rows)
        assert fold.normalised(alone) is alone


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_a_map_that_does_not_vary_is_divided_by_one(value):
    patches = patch_set(7, ("none", "nyul"), absent=0.0)
    flat = replace(
        patches, raw=np.full_like(patches.raw, value), landmarks=np.full_like(patches.landmarks, value)
    )
    fold = fit_input(flat, np.arange(6), RADIUS, "mean")
    assert (fold.location[0], fold.spread[0]) == (value, 1.0)
    assert np.abs(fold.images(flat)).max() == pytest.approx(0.0, abs=1e-6)


def test_patches_of_another_kind_are_refused():
    fold = fit_input(patch_set(), np.arange(6), RADIUS, "zero")
    for other in (patch_set(methods=("zscore",) * 4), patch_set(slices=3), patch_set(methods=METHODS[:3])):
        with pytest.raises(ValueError, match="are needed, as those that were fitted"):
            fold.images(other)


def test_a_radius_or_a_way_that_there_is_not_is_refused():
    patches = patch_set()
    with pytest.raises(InputError, match="0 to 5 were extracted, but got 6"):
        fit_input(patches, np.arange(6), 6, "zero")
    with pytest.raises(InputError, match="0 to 5 were extracted, but got 6"):
        fit_input(patches, np.arange(6), 5, "mean").augmenter(
            AugmentSpec(jitter_mm=0.5), patches, np.arange(6)
        )
    with pytest.raises(InputError, match="unknown value 'means'; did you mean 'mean'"):
        fit_input(patches, np.arange(6), RADIUS, "means")
