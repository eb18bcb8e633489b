"""Two answers in one header: where sform and qform place the same voxels differently.

References:
    NIfTI-1 header, "3D image (volume) orientation and location in space": methods 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from data_prep.check.findings import Finding
from data_prep.check.subject import File, Subject, Visited

_LEAST: Final = 0.1  # of a voxel's edge: rounding of the quaternion stays far below
_SERIOUS: Final = 0.5  # from here on a site falls into another voxel


def form_findings(subject: Subject) -> Iterator[Finding]:
    """A warning for each file whose sform and qform disagree by half a voxel, a note from a tenth on."""
    told = set()
    for visited in subject.visits:
        for file in visited.files:
            apart = corners_apart(file)
            if apart > _LEAST and file.label not in told:
                told.add(file.label)
                yield _finding(visited, file, apart)


def corners_apart(file: File) -> float:
    """How far apart sform and qform place a corner, in edges of the smallest voxel; 0 if one is missing."""
    if file.volume is None or file.sform is None or file.qform is None:
        return 0.0
    return _corners_mm(file) / float(file.volume.grid.voxel_size.min())


def _corners_mm(file: File) -> float:
    if file.volume is None or file.sform is None or file.qform is None:
        return 0.0
    corners = np.array([*np.ndindex(2, 2, 2)]) * (np.array(file.volume.grid.shape) - 1)
    change = file.sform - file.qform
    return float(np.linalg.norm(corners @ change[:3, :3].T + change[:3, 3], axis=1).max())


def _finding(visited: Visited, file: File, apart: float) -> Finding:
    return Finding(
        "warning" if apart >= _SERIOUS else "note",
        "qform-sform",
        file.label,
        "sform and qform must place a voxel alike, but they place a corner "
        f"{_corners_mm(file):.2g} mm ({apart:.2g} voxels) apart; here sform counts.",
        "Find out which one is right, and write it into both.",
        visited.participant,
        visited.ids,
    )
