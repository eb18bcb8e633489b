"""Sites that lie outside their images."""

from __future__ import annotations

import numpy as np

from data_prep.cohort_file import Coordinates
from data_prep.geometry import Grid
from data_prep.importing.sites import outside

AFFINE = np.array([[1.0, 0, 0, -20], [0, 1, 0, 5], [0, 0, 1, 40], [0, 0, 0, 1]])
GRID = Grid((10, 10, 10), AFFINE)
RAS = Coordinates(space="world", convention="RAS")


def test_sites_inside_are_no_news() -> None:
    assert outside({2: (GRID, (-15, 9, 44))}, RAS, "t.csv") == ()


def test_a_convention_by_which_all_lie_inside_is_named() -> None:
    (line,) = outside({2: (GRID, (15, -9, 44)), 3: (GRID, (14, -8, 42))}, RAS, "t.csv")
    assert line == (
        "t.csv: 2 of 2 sites lie outside their images as millimetres in RAS (rows: 2, 3). "
        "As millimetres in LPS all lie inside: is that meant?"
    )


def test_a_single_stray_is_named_by_its_row() -> None:
    (line,) = outside({2: (GRID, (-15, 9, 44)), 7: (GRID, (0, 0, 0))}, RAS, "t.csv")
    assert "1 of 2 sites" in line
    assert "(rows: 7). Are --space and --convention right?" in line
