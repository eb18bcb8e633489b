"""Maps made by hand, on a tilted grid of cuboid voxels, and a home with a model of a study of baselines."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from data_prep.geometry import Grid
from search.cli import main
from search.home import Home
from search.maps.drawing import Drawn
from search.maps.scene import Marks, Scene

SHAPE = (20, 24, 12)
NASTY = "<b>x</b>\"'&"


@pytest.fixture
def grid() -> Grid:
    """Stored LPS, tilted by 10 degrees, voxels of 1 x 1 x 2 mm."""
    turn = np.deg2rad(10)
    affine = np.eye(4)
    affine[:3, :3] = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    ) @ np.diag([-1.0, -1.0, 2.0])
    affine[:3, 3] = (30.0, 20.0, -10.0)
    return Grid(SHAPE, affine)


@pytest.fixture
def make_drawn(grid: Grid) -> Callable[..., Drawn]:
    """A map of smooth random fields inside a ball, a corner of which is unlike the training data."""

    def make(labels: tuple[str, ...] = ("CD3D", "CD8A"), seed: int = 0, **changes: Any) -> Drawn:
        rng = np.random.default_rng(seed)
        places = np.indices(SHAPE).transpose(1, 2, 3, 0)
        region = np.linalg.norm((places - [11, 10, 6]) * [1, 1, 2], axis=-1) <= 7
        field = np.stack([gaussian_filter(rng.normal(size=SHAPE), 2) for _ in labels], axis=-1)
        probability = np.where(region[..., None], 1 / (1 + np.exp(-8 * field)), np.nan).astype(np.float32)
        thresholds = tuple(0.4 + 0.1 * number for number in range(len(labels)))
        fields: dict[str, Any] = {
            "labels": labels,
            "thresholds": thresholds,
            "grid": grid,
            "region": region,
            "probability": probability,
            "spread": probability * np.float32(0.1),
            "above": probability > np.array(thresholds),
            "unlike": region & (places[..., 0] < 8),
            "asked": int(region.sum()),
        }
        return Drawn(**(fields | changes))

    return make


@pytest.fixture
def make_scene(make_drawn: Callable[..., Drawn]) -> Callable[..., Scene]:
    """That map on a made-up image, with three biopsies."""

    def make(name: str = "sub-001", drawn: Drawn | None = None, **changes: Any) -> Scene:
        shown = make_drawn() if drawn is None else drawn
        grey = np.zeros(SHAPE, np.float32)
        grey[2:18, 2:22, 1:11] = np.random.default_rng(1).uniform(100, 200, (16, 20, 10))
        places = np.array([[11.0, 10.0, 6.0], [9.0, 12.5, 5.0], [14.0, 9.0, 7.0]])
        marks = Marks(("b1", "b2", NASTY), places, {shown.labels[0]: [1, 0, None]})
        fields = {"sequence": "T1Gd", "grey": grey, "marks": marks, "said": "model toy; research use only"}
        return Scene(name, shown, **(fields | changes))

    return make


@dataclass(frozen=True)
class Modelled:
    """A home with a model named "shallow", and the cohort that it learned from."""

    home: Path
    cohort: Path

    @property
    def model(self) -> str:
        """The model folder."""
        return str(self.home / "models" / "shallow" / "1")


@pytest.fixture(scope="session")
def modelled(shallow: Path, tmp_path_factory: pytest.TempPathFactory) -> Modelled:
    """Made by `radsearch refit`; not to be written to."""
    home = Home.at(shutil.copytree(shallow / "home", tmp_path_factory.mktemp("modelled") / "home"))
    command = [
        "refit",
        "shallow",
        "--seeds",
        "1",
        "--home",
        str(home.root),
        "--cohort",
        str(shallow / "cohort"),
    ]
    assert main([*command, "--skip-explanations", "--skip-registering"]) == 0
    return Modelled(home.root, shallow / "cohort")
