"""Held-out biopsies made by hand, and a model of which it is known what it looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from data_prep.arrays import DoubleArray
from data_prep.patch_set import PatchRequest, PatchSet
from search.deployment.records import Shown
from search.explaining.changed import neutral_values
from search.explaining.held_out import HeldOut, Speaker

SEQUENCES = ("FA", "T1", "T1Gd", "T2")
READ, WEIGHT = 2, 1.5


@pytest.fixture
def make_patches() -> Callable[..., PatchSet]:
    """Patches of noise in four sequences, some voxels padded; one biopsy lacks T1."""

    def make(count: int = 12, radius: int = 4, seed: int = 0, slices: int = 1, **changes: Any) -> PatchSet:
        rng, channels = np.random.default_rng(seed), len(SEQUENCES)
        edge = 2 * radius + 1
        mean = rng.uniform(50, 100, (count, channels)).astype(np.float32)
        std = rng.uniform(5, 10, (count, channels)).astype(np.float32)
        noise = rng.normal(size=(count, edge, edge, slices * channels)).astype(np.float32)
        raw = np.tile(mean, slices)[:, None, None] + np.tile(std, slices)[:, None, None] * noise
        present, padding = (
            np.ones((count, channels), dtype=bool),
            np.zeros((count, edge, edge, slices), dtype=bool),
        )
        present[1, 1], padding[2, 0, :2] = False, True
        raw[1, ..., 1::channels], mean[1, 1], std[1, 1] = 0, 0, 1
        raw[np.repeat(padding, channels, axis=3)] = 0
        fields: dict[str, Any] = {
            "raw": raw,
            "padding": padding,
            "present": present,
            "mean": mean,
            "std": std,
            "landmarks": np.zeros((count, channels, 11), dtype=np.float32),
            "voxel_mm": np.full((count, 2), 0.5),
            "biopsy_id": tuple(f"b{n}" for n in range(count)),
            "participant_id": tuple(f"p{n // 2}" for n in range(count)),
            "request": PatchRequest(SEQUENCES, radius, slices),
        }
        return PatchSet(**(fields | changes))

    return make


@pytest.fixture
def centre() -> Speaker:
    """Log-odds are `WEIGHT` times the mean of the middle 3 x 3 voxels of `READ`, in normalised units."""

    def say(shown: Shown) -> DoubleArray:
        seen = shown.patches.images(1)[..., READ].astype(np.float64)
        return expit(WEIGHT * seen.mean(axis=(1, 2)))[:, None]

    return say


@pytest.fixture
def make_part(make_patches: Callable[..., PatchSet], centre: Speaker) -> Callable[..., HeldOut]:
    """A fold whose labels are what the centre model says, so that its AUC is 1."""

    def make(fold: int = 0, count: int = 12, speaker: Speaker | None = None, **changes: Any) -> HeldOut:
        patches = make_patches(count, seed=fold)
        say = centre if speaker is None else speaker
        said = say(Shown(patches))
        fields: dict[str, Any] = {
            "fold": fold,
            "rows": np.arange(fold * count, (fold + 1) * count),
            "participant": np.arange(fold * count, (fold + 1) * count) // 2,
            "labels": (said > np.median(said, axis=0)).astype(np.int64),
            "patches": patches,
            "neutral": neutral_values(patches, patches),
            "location": None,
            "speaker": say,
        }
        return HeldOut(**(fields | changes))

    return make
