"""Synthetic cohorts with a known ceiling: what a perfect model of the patch would reach.

A smooth hidden field drives both the expression of CD3D and, weakly, the signal of five sequences inside a
tumour; the answers follow in closed form (`data_prep.phantom.answers`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.phantom.spec import KINDS, SEQUENCES, SIGNALS, PhantomSpec

__all__ = ["KINDS", "SEQUENCES", "SIGNALS", "PhantomSpec", "write_phantom"]


def write_phantom(
    out: Path, spec: PhantomSpec, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Write a phantom cohort; see `data_prep.phantom.cohort.build`, which this loads when it is called."""
    from data_prep.phantom.cohort import build  # nibabel and scipy stay off the path of `radsearch --help`

    return build(out, spec, progress)
