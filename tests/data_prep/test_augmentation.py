from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.stats import norm

from data_prep.augment_spec import ROTATIONS, AugmentSpec, margin
from data_prep.augmentation import apply, draw, epoch_generator, epochs, replay
from data_prep.cohort import read_cohort
from data_prep.inputs import ChannelLayout, channel_layout, lay_out
from data_prep.patches import PatchRequest, extract_patches
from data_prep.problems import InputError

# Two sequences in three slices and the presence of the second, which every third sample lacks.
LAYOUT = ChannelLayout(sequences=2, slices=3, presence=(1,))
PRESENT = np.tile([[True, True], [True, False], [True, True]], (4, 1))
PLAIN = np.random.default_rng(0).normal(size=(12, 25, 25, 6)).astype(np.float32)
PLAIN[~PRESENT[:, 1], ..., 1::2] = 0
IMAGES = np.concatenate(
    [PLAIN, np.broadcast_to(PRESENT[:, None, None, 1:], (12, 25, 25, 1))], axis=3, dtype=np.float32
)
SPECS = st.builds(
    AugmentSpec,
    flip=st.booleans(),
    rotation=st.sampled_from(ROTATIONS),
    rotation_degrees=st.floats(1.0, 180.0),
    jitter_mm=st.sampled_from([0.0, 1.0, 2.0]),
    intensity_scale=st.sampled_from([0.0, 0.3]),
    intensity_shift=st.sampled_from([0.0, 0.5]),
    channel_dropout=st.sampled_from([0.0, 0.4, 0.9]),
)
SEEDS = st.integers(0, 2**31 - 1)
EVERYTHING = AugmentSpec(True, "free", 180.0, 2.0, 0.3, 0.5, 0.4)


def drawn_for(spec, seed=0, voxel_mm=1.0, present=PRESENT):
    return draw(spec, present, np.random.default_rng(seed), voxel_mm)


def same(one, other) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


def moved_one_by_one(drawn, images, radius):
    """Crop, flips and turns by NumPy's own functions, sample by sample."""
    centre = images.shape[1] // 2
    out = []
    for k, image in enumerate(images):
        x, y = drawn.shift[k] + centre
        patch = image[x - radius : x + radius + 1, y - radius : y + radius + 1]
        patch = patch[::-1] if drawn.flip_x[k] else patch
        patch = patch[:, ::-1] if drawn.flip_y[k] else patch
        out.append(np.rot90(patch, drawn.quarter_turns[k]))
    return np.stack(out)


def turned_one_by_one(drawn, images, radius):
    """The same with any angle, by a matrix and SciPy's interpolation, channel by channel."""
    out = []
    for k, image in enumerate(images):
        angle = np.deg2rad(drawn.degrees[k])
        back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        mirror = np.diag([-1.0 if flip else 1.0 for flip in (drawn.flip_x[k], drawn.flip_y[k])])
        grid = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        at = np.einsum("ab,bij->aij", mirror @ back, grid)
        at += (drawn.shift[k] + image.shape[0] // 2)[:, None, None]
        channels = [map_coordinates(channel, at, order=1) for channel in np.moveaxis(image, -1, 0)]
        out.append(np.stack(channels, axis=-1))
    return np.stack(out)


def coloured_one_by_one(drawn, images):
    """Gain, offset and absence, sequence by sequence; absent sequences stay 0."""
    out = images.copy()
    for k, sequence in np.ndindex(drawn.gain.shape):
        part = out[k, ..., sequence:6:2]
        part *= drawn.gain[k, sequence]
        part += drawn.offset[k, sequence] if PRESENT[k, sequence] else 0
        if drawn.dropped[k, sequence]:
            part[:] = 0
            out[k, ..., 6] *= sequence == 0
    return out


@given(SPECS, SEEDS, st.integers(0, 5))
def test_augmented_patches_equal_those_made_one_by_one(spec, seed, radius):
    drawn = drawn_for(spec, seed)
    expected = (turned_one_by_one if spec.rotation == "free" else moved_one_by_one)(drawn, IMAGES, radius)
    result = apply(drawn, IMAGES, radius, LAYOUT)
    assert result.dtype == np.float32
    assert result == pytest.approx(coloured_one_by_one(drawn, expected), abs=1e-4)


@given(st.booleans(), st.sampled_from(("none", "quarter")), st.sampled_from((0.0, 2.0)), SEEDS)
def test_flips_quarter_turns_and_shifts_change_no_intensity(flip, rotation, jitter, seed):
    drawn = drawn_for(AugmentSpec(flip, rotation, jitter_mm=jitter), seed)
    assert np.array_equal(apply(drawn, IMAGES, 5, LAYOUT), moved_one_by_one(drawn, IMAGES, 5))


def test_nothing_switched_on_gives_the_plain_centre_bit_for_bit():
    result = apply(drawn_for(AugmentSpec()), IMAGES, 4, LAYOUT)
    assert result.tobytes() == np.ascontiguousarray(IMAGES[:, 8:17, 8:17]).tobytes()
    assert not np.shares_memory(result, IMAGES)


@given(SEEDS, st.booleans(), st.integers(0, 6))
def test_free_rotation_by_multiples_of_90_degrees_is_exactly_a_quarter_turn(seed, flip, radius):
    turned = drawn_for(AugmentSpec(flip, "quarter", jitter_mm=2.0), seed)
    whole = np.random.default_rng(seed).integers(-2, 3, 12)
    degrees = 90.0 * np.where(whole % 4 == turned.quarter_turns, whole, turned.quarter_turns - 4)
    free = replace(turned, quarter_turns=np.zeros(12, np.int64), degrees=degrees)
    assert np.array_equal(apply(free, IMAGES, radius, LAYOUT), apply(turned, IMAGES, radius, LAYOUT))


@pytest.mark.parametrize("degrees", [-170.0, -45.0, 30.0, 60.0, 117.0])
def test_a_point_lands_where_the_rotation_says_and_keeps_its_mass(degrees):
    images = np.zeros((1, 33, 33, 1), np.float32)
    images[0, 16 + 6, 16 + 2] = 1
    still = drawn_for(AugmentSpec(), present=np.ones((1, 1), bool))
    turned = apply(replace(still, degrees=np.array([degrees])), images, 11, ChannelLayout(1))[0, ..., 0]
    angle = np.deg2rad(degrees)
    expected = np.cos(angle) * 6 - np.sin(angle) * 2, np.sin(angle) * 6 + np.cos(angle) * 2
    grid = np.mgrid[-11:12, -11:12]
    assert [(turned * axis).sum() / turned.sum() for axis in grid] == pytest.approx(expected, abs=0.3)
    assert turned.sum() == pytest.approx(1.0, abs=0.3)
    assert turned.max() <= 1


def test_a_turn_there_and_back_keeps_a_smooth_image():
    x = np.linspace(-2, 2, 61)
    smooth = np.exp(-((x[:, None] - 0.3) ** 2) - 2 * x**2)[None, ..., None].astype(np.float32)
    still = drawn_for(AugmentSpec(), present=np.ones((1, 1), bool))
    there = apply(replace(still, degrees=np.array([33.0])), smooth, 20, ChannelLayout(1))
    back = apply(replace(still, degrees=np.array([-33.0])), there, 12, ChannelLayout(1))
    assert back == pytest.approx(smooth[:, 18:43, 18:43], abs=1e-2)
    assert there != pytest.approx(smooth[:, 10:51, 10:51], abs=5e-2)


@given(SPECS, SEEDS)
def test_what_is_absent_stays_zero_and_a_sequence_is_always_left(spec, seed):
    drawn = drawn_for(spec, seed)
    result = apply(drawn, IMAGES, 3, LAYOUT)
    shown = PRESENT & ~drawn.dropped
    assert shown.any(axis=1).all()
    assert not drawn.dropped[~PRESENT].any()
    assert not result[..., 0:6:2][~shown[:, 0]].any()
    assert not result[..., 1:6:2][~shown[:, 1]].any()
    assert np.array_equal(result[..., 6], np.broadcast_to(shown[:, 1, None, None], (12, 7, 7)))


@given(SPECS, SEEDS, st.integers(0, 11))
def test_a_sample_does_not_depend_on_the_images_of_others(spec, seed, row):
    drawn = drawn_for(spec, seed)
    others = np.random.default_rng(1).normal(size=IMAGES.shape).astype(np.float32)
    others[row] = IMAGES[row]
    one, other = (apply(drawn, images, 4, LAYOUT)[row] for images in (IMAGES, others))
    assert np.array_equal(one, other)


@given(SPECS, SEEDS)
def test_patches_with_more_room_than_is_needed_give_the_same(spec, seed):
    drawn, room = drawn_for(spec, seed), margin(spec, 4, 1.0)
    tight = IMAGES[:, 8 - room : 17 + room, 8 - room : 17 + room]
    assert np.array_equal(apply(drawn, tight, 4, LAYOUT), apply(drawn, IMAGES, 4, LAYOUT))


def test_draws_are_fair():
    present = np.ones((20000, 3), bool)
    free = drawn_for(replace(EVERYTHING, rotation_degrees=30.0, channel_dropout=0.2), present=present)
    quarter = drawn_for(AugmentSpec(rotation="quarter"), present=present)
    assert [free.flip_x.mean(), free.flip_y.mean()] == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.bincount(quarter.quarter_turns) / 20000 == pytest.approx([0.25] * 4, abs=0.02)
    assert np.histogram(free.degrees, 6, (-30, 30))[0] / 20000 == pytest.approx([1 / 6] * 6, abs=0.02)
    assert np.log(free.gain).std(axis=0) == pytest.approx([0.3] * 3, rel=0.03)
    assert free.offset.std(axis=0) == pytest.approx([0.5] * 3, rel=0.03)
    # All three should go in 0.8 % of the draws; one of them stays then.
    assert free.dropped.mean() == pytest.approx(0.2 - 0.008 / 3, abs=0.01)
    for axes in (free.shift, free.gain, free.offset, free.dropped):
        assert np.corrcoef(axes.T)[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(("jitter_mm", "edge"), [(1.5, 1.0), (2.5, 0.8), (0.4, 1.0)])
def test_shifts_are_normal_rounded_to_voxels_and_cut_at_two_deviations(jitter_mm, edge):
    spec = AugmentSpec(jitter_mm=jitter_mm)
    shift = drawn_for(spec, voxel_mm=edge, present=np.ones((20000, 1), bool)).shift
    limit = spec.largest_shift(edge)
    bounds = np.concatenate([[-np.inf], np.arange(-limit, limit) + 0.5, [np.inf]])
    expected = np.diff(norm.cdf(bounds, scale=jitter_mm / edge))
    for axis in shift.T:
        assert np.bincount(axis + limit, minlength=2 * limit + 1) / 20000 == pytest.approx(
            expected, abs=0.012
        )


def test_the_same_jitter_moves_fewer_of_coarser_voxels():
    edges = np.tile([[0.5, 1.0], [2.0, 4.0]], (1000, 1))
    shift = drawn_for(AugmentSpec(jitter_mm=2.0), voxel_mm=edges, present=np.ones((2000, 1), bool)).shift
    assert np.abs(shift[::2]).max(axis=0).tolist() == [8, 4]
    assert np.abs(shift[1::2]).max(axis=0).tolist() == [2, 1]


@given(SPECS, SEEDS)
def test_switching_some_off_leaves_the_others_as_they_were(spec, seed):
    some, every = drawn_for(spec, seed), drawn_for(EVERYTHING, seed)
    assert not spec.flip or np.array_equal(some.flip_x, every.flip_x)
    assert spec.jitter_mm != 2.0 or np.array_equal(some.shift, every.shift)
    assert not spec.intensity_scale or np.array_equal(some.gain, every.gain)
    assert not spec.intensity_shift or np.array_equal(some.offset, every.offset)
    assert spec.channel_dropout != 0.4 or np.array_equal(some.dropped, every.dropped)
    assert spec.rotation != "free" or some.degrees == pytest.approx(
        every.degrees * spec.rotation_degrees / 180
    )


@pytest.mark.parametrize("part", ["flip", "quarter", "free", "jitter", "scale", "shift", "dropout"])
def test_what_is_off_is_not_drawn(part):
    off = {
        "flip": replace(EVERYTHING, flip=False),
        "quarter": replace(EVERYTHING, rotation="free"),
        "free": replace(EVERYTHING, rotation="quarter"),
        "jitter": replace(EVERYTHING, jitter_mm=0.0),
        "scale": replace(EVERYTHING, intensity_scale=0.0),
        "shift": replace(EVERYTHING, intensity_shift=0.0),
        "dropout": replace(EVERYTHING, channel_dropout=0.0),
    }
    drawn = drawn_for(off[part])
    still = {
        "flip": not (drawn.flip_x | drawn.flip_y).any(),
        "quarter": not drawn.quarter_turns.any(),
        "free": not drawn.degrees.any(),
        "jitter": not drawn.shift.any(),
        "scale": (drawn.gain == 1).all(),
        "shift": not drawn.offset.any(),
        "dropout": not drawn.dropped.any(),
    }
    assert [name for name, value in still.items() if value] == (
        [part] if part in ("quarter", "free") else sorted([part, "quarter"], key=list(still).index)
    )


def test_an_epoch_is_replayed_from_seed_and_number_alone():
    # The formula is what `models.seeding` promises for its third stream.
    trained = [draw(EVERYTHING, PRESENT, np.random.default_rng([5, 2, epoch]), 1.0) for epoch in (1, 2, 3)]
    assert same(replay(EVERYTHING, PRESENT, 1.0, seed=5, epoch=3), trained[2])
    assert same(replay(EVERYTHING, PRESENT, 1.0, seed=5, epoch=1), trained[0])
    assert not same(trained[0], trained[1])
    assert not same(replay(EVERYTHING, PRESENT, 1.0, seed=6, epoch=1), trained[0])
    assert np.array_equal(epoch_generator(5, 2).random(9), np.random.default_rng([5, 2, 2]).random(9))


def test_a_fold_is_augmented_from_patches_with_room(tmp_path, make_cohort):
    names = ("T1", "T2")
    folder = make_cohort(tmp_path, participants=3, biopsies=6, size=16, sequences=names, missing={(1, "T2")})
    patches = extract_patches(
        read_cohort(folder), PatchRequest(names, 3 + margin(EVERYTHING, 3, 1.0), slices=3)
    )
    rows = np.array([4, 0, 2])
    layout, taught = channel_layout(patches, "mask"), patches.take(rows)
    augment = epochs(EVERYTHING, taught, 3, layout)
    drawn = replay(EVERYTHING, patches.present[rows], patches.voxel_mm[rows], seed=1, epoch=2)
    wide = lay_out(patches, patches.radius, layout)[rows]
    assert np.array_equal(augment(epoch_generator(1, 2)), apply(drawn, wide, 3, layout))
    plain = epochs(AugmentSpec(), taught, 3, layout)(epoch_generator(1, 2))
    assert np.array_equal(plain, lay_out(patches, 3, layout)[rows])
    with pytest.raises(InputError, match=r"patch radius: 0 to 9 were extracted, but got 10"):
        epochs(EVERYTHING, taught, 4, layout)


def test_images_that_do_not_fit_the_draw_are_refused():
    drawn = drawn_for(AugmentSpec(jitter_mm=2.0))
    with pytest.raises(ValueError, match=r"that reach 13 from their centre are needed"):
        apply(drawn, IMAGES, 9, LAYOUT)
    with pytest.raises(ValueError, match=r"images of shape \(12, 25, 25, 7\)"):
        apply(drawn, IMAGES[:11], 5, LAYOUT)
    with pytest.raises(ValueError, match=r"images of shape \(12, 25, 25, 2\)"):
        apply(drawn, IMAGES, 5, ChannelLayout(2))
