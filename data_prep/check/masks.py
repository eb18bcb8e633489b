"""Masks that are empty, full, or do not fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from data_prep.check.findings import Finding
from data_prep.check.placing import roles
from data_prep.check.subject import File, Subject, Visited

_SPILL: Final = (0.01, 0.1)
"""Share of a tumour mask outside the brain mask that is worth a note, and a warning; a judgement. Phantoms
have none; of 22 published lesions 17 stay below the first, and one reaches 0.15."""


def mask_findings(subject: Subject) -> Iterator[Finding]:
    """Findings on each mask, and on tumours that leave the brain."""
    told = set()
    for visited in subject.visits:
        for file in visited.masks.values():
            if file.digest is not None and file.label not in told:
                told.add(file.label)
                yield from _alone(visited, file)
        yield from _spill(visited)


def _alone(visited: Visited, file: File) -> Iterator[Finding]:
    digest = file.digest
    if digest is None:
        return
    if digest.unusable:
        what, code = (
            f"a mask must hold numbers, but {digest.unusable} voxels are NaN or infinite.",
            "mask-not-finite",
        )
    elif digest.zeros == 1:
        what, code = "a mask must be true somewhere, but it is zero everywhere.", "mask-empty"
    elif digest.zeros == 0:
        what, code = "a mask must be zero somewhere, but it is true everywhere.", "mask-full"
    else:
        return
    yield Finding(
        "error"
        if code == "mask-not-finite" or (code == "mask-empty" and file.name == "brain")
        else "warning",
        code,
        file.label,
        what,
        "Draw or export it again, or remove the file.",
        visited.participant,
        visited.ids,
    )


def _spill(visited: Visited) -> Iterator[Finding]:
    share = None if visited.placement is None else visited.placement.spill
    if share is None or share < _SPILL[0]:
        return
    found = roles(visited)
    yield Finding(
        "warning" if share >= _SPILL[1] else "note",
        "tumor-outside-brain",
        found["tumor"].label,
        f"a tumour mask should lie in the brain, but {100 * share:.2g} % of its voxels are outside "
        f"{found['brain'].label}.",
        "The brain mask may cut off the tumour, or the two may not be registered: look at them together.",
        visited.participant,
        visited.ids,
    )
