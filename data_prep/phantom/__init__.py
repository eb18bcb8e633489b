"""Synthetic cohorts with a known ceiling: what a perfect model of the patch would reach.

A smooth hidden field drives both the expression of CD3D and, weakly, what some of the sequences show inside a
tumour: their signal (`gaussian`) or the amplitude of their noise (`texture`). Of two fields the product is
expressed (`interaction`). The answers follow in closed form (`answers`, `texture` and `interaction` here).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.phantom.spec import KINDS, SEQUENCES, SIGNALS, PhantomSpec, parse_voxel

__all__ = ["KINDS", "SEQUENCES", "SIGNALS", "PhantomSpec", "parse_voxel", "write_phantom"]


def write_phantom(
    out: Path, spec: PhantomSpec, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Write a phantom cohort; see `data_prep.phantom.cohort.build`, which this loads when it is called."""
    from data_prep.phantom.cohort import build  # nibabel and scipy stay off the path of `radsearch --help`

    return build(out, spec, progress)
