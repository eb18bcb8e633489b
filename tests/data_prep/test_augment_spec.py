import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.augment_spec import ROTATIONS, AugmentSpec, margin, nothing_done
from data_prep.problems import InputError

RADII = st.integers(0, 40)
EDGES = st.floats(0.2, 4.0)
SPECS = st.builds(
    AugmentSpec,
    rotation=st.sampled_from(ROTATIONS),
    rotation_degrees=st.floats(0.01, 180.0),
    jitter_mm=st.floats(0.0, 10.0),
)


def test_all_settings_outside_their_range_are_named_at_once():
    with pytest.raises(InputError, match="rotation: unknown name 'fre'; did you mean 'free'") as caught:
        AugmentSpec(
            rotation="fre",
            rotation_degrees=0.0,
            jitter_mm=-1.0,
            intensity_scale=math.nan,
            intensity_shift=math.inf,
            channel_dropout=1.0,
        )
    assert caught.value.problems[1:] == (
        "rotation_degrees: a number above 0 and up to 180 is needed, but got 0.0.",
        "jitter_mm: a number from 0 to 20 is needed, but got -1.0.",
        "intensity_scale: a number from 0 to 2 is needed, but got nan.",
        "intensity_shift: a number from 0 to 10 is needed, but got inf.",
        "channel_dropout: a number from 0 to below 1 is needed, but got 1.0.",
    )


@pytest.mark.parametrize(
    "setting",
    [
        {"flip": True},
        {"rotation": "quarter"},
        {"rotation": "free"},
        {"jitter_mm": 2.5},
        {"intensity_scale": 0.1},
        {"intensity_shift": 0.1},
        {"channel_dropout": 0.1},
    ],
)
def test_one_setting_alone_is_an_augmentation_that_does_something(setting):
    spec = AugmentSpec(**setting)
    assert not spec.is_none
    assert nothing_done(spec, 2, 1.0, 9) == ()


def test_nothing_switched_on_is_no_augmentation_and_no_fault():
    assert AugmentSpec().is_none
    assert nothing_done(AugmentSpec(), 0, 1.0, 1) == ()
    assert margin(AugmentSpec(flip=True, rotation="quarter", channel_dropout=0.5), 16, 0.5) == 0


@given(SPECS, RADII, EDGES)
def test_the_margin_holds_the_corner_of_every_angle_and_the_largest_shift(spec, radius, edge):
    angles = np.deg2rad(np.linspace(-spec.largest_angle, spec.largest_angle, 2001))
    corner = (radius * (np.abs(np.cos(angles)) + np.abs(np.sin(angles)))).max()
    room = margin(spec, radius, edge) - math.ceil(2 * spec.jitter_mm / edge)
    assert corner - 1e-6 <= radius + room
    # Not a voxel more than that, up to the grid of angles.
    assert radius + room < corner + 1 + 0.05


@given(SPECS, RADII, EDGES)
def test_the_margin_grows_with_radius_and_finer_voxels(spec, radius, edge):
    assert radius + margin(spec, radius, edge) < radius + 1 + margin(spec, radius + 1, edge)
    assert margin(spec, radius, edge) <= margin(spec, radius, edge / 2)


@pytest.mark.parametrize(
    ("setting", "radius", "sequences", "line"),
    [
        ({"flip": True}, 0, 9, "flip: a patch of one voxel looks the same"),
        ({"rotation": "quarter"}, 0, 9, "rotation: a patch of one voxel looks the same"),
        ({"rotation": "free"}, 0, 9, "rotation: a patch of one voxel looks the same"),
        (
            {"rotation": "free", "rotation_degrees": 5.0},
            4,
            9,
            "rotation: the corners must move by at least 0.5 voxels, but 5 degrees at radius 4 "
            "move them by 0.49.",
        ),
        (
            {"rotation": "quarter", "rotation_degrees": 30.0},
            4,
            9,
            "rotation_degrees: only rotation 'free' has an angle, but got 30 with 'quarter'.",
        ),
        (
            {"jitter_mm": 0.15},
            4,
            9,
            "jitter_mm: at least 1% of the centres must move to another voxel, but 0.15 mm on voxels of 1 mm "
            "moves 0.0017 of them.",
        ),
        ({"intensity_scale": 1e-9}, 4, 9, "intensity_scale: at least float32's resolution of 1.2e-07"),
        ({"intensity_shift": 1e-9}, 4, 9, "intensity_shift: at least float32's resolution of 1.2e-07"),
        ({"channel_dropout": 0.5}, 4, 1, "channel_dropout: one sequence is always left, so at least 2"),
        (
            {"channel_dropout": 0.001},
            4,
            4,
            "channel_dropout: at least 1% of the patches must lose a sequence, but 0.001 with 4 sequences "
            "takes one from 0.004 of them.",
        ),
    ],
)
def test_a_setting_that_would_do_nothing_is_named(setting, radius, sequences, line):
    (found,) = nothing_done(AugmentSpec(**setting), radius, 1.0, sequences)
    assert found.startswith(line)


def test_a_jitter_too_small_for_coarse_voxels_does_something_on_fine_ones():
    spec = AugmentSpec(jitter_mm=0.15)
    assert nothing_done(spec, 4, 0.5, 9) == ()
    assert len(nothing_done(AugmentSpec(flip=True, jitter_mm=0.15), 0, 1.0, 9)) == 2


def test_the_settings_load_without_numpy():
    code = "import sys, data_prep.augment_spec; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
