import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.geometry import Grid
from data_prep.patch_set import PatchRequest
from data_prep.problems import Problems
from data_prep.resample import padding
from data_prep.sampling import View
from data_prep.survey import Visit, survey
from data_prep.window_volumes import VisitVolumes, bytes_of, outside
from tests.data_prep.placed import affine_of, noise, write_cohort

SHAPE = (16, 14, 12)
HOME = affine_of([1, 1, 1], [-8, -7, -6])
AWAY = affine_of([1.5, 1.5, 1.5], [-7.2, -6.8, -5.1], [3, 0, 8])


def visit_of(folder, request: PatchRequest, away: bool) -> Visit:
    images = {"T1": noise(SHAPE, HOME), "FA": noise((9, 9, 8), AWAY, 1) if away else noise(SHAPE, HOME, 1)}
    problems = Problems()
    cohort = read_cohort(write_cohort(folder, images, [[0, 0, 0]]))
    (visit,) = survey(cohort, request.sequences, problems, request.resample_to).visits
    problems.raise_any()
    return visit


@pytest.mark.parametrize(
    ("options", "away", "volumes", "splines"),
    [
        ({}, False, 2, 0),
        ({"spacing_mm": 0.7}, False, 2, 2),
        ({"resample_to": "T1"}, True, 1, 1),
        ({"resample_to": "T1", "spacing_mm": 0.7}, True, 1, 2),
    ],
)
def test_a_sequence_is_held_once_and_as_a_spline_where_samples_lie_between_voxels(
    tmp_path, options, away, volumes, splines
):
    request = PatchRequest(("T1", "FA"), 3, 3, **options)
    visit = visit_of(tmp_path, request, away)
    held = VisitVolumes(request, visit)
    for channel in held.channels:
        held.read(channel, None)
    places = [one.place for one in held.held.values()]
    assert sum(place is not None for place in places) == volumes
    kept = [one.spline for one in held.held.values() if one.spline is not None]
    assert len(kept) == splines
    needed = 4 * volumes * int(np.prod(SHAPE)) + sum(spline.nbytes for spline in kept)
    assert bytes_of(request, visit) == needed


def test_what_lies_outside_is_what_each_window_says(tmp_path):
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(3, 3))
    offsets = np.einsum("ij,j...->i...", turn, np.mgrid[-3:4, -3:4, -1:2].astype(float))
    view = View((20, 24, 16), rng.uniform(-2, 22, size=(200, 3)), offsets, np.ones(3))
    expected = np.stack([view.padding(row) for row in range(200)])
    assert expected.any(axis=(1, 2, 3)).sum() not in (0, 200)
    assert np.array_equal(outside(view), expected)


def test_windows_in_pieces_are_those_in_one(tmp_path, monkeypatch):
    request = PatchRequest(("T1", "FA"), 2, resample_to="T1")
    held = VisitVolumes(request, visit_of(tmp_path, request, away=True))
    for channel in held.channels:
        held.read(channel, None)
    voxels = np.argwhere(np.ones(SHAPE))[::17]
    own = held.at(voxels)
    whole = held.raw(own, voxels, outside(own))
    monkeypatch.setattr("data_prep.window_volumes._POINTS", 60)
    assert np.array_equal(held.raw(own, voxels, outside(own)), whole)
    assert Grid(SHAPE, HOME).canonical_shape == SHAPE
    assert not padding(own.centres.T, SHAPE).any()
