"""Leaks planted into the study's own data: a check that does not find them is worth nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from data_prep.arrays import FloatArray, IntArray
from data_prep.geometry import Grid
from data_prep.volumes import slabs
from search.audit.duplicates import people_alike
from search.audit.identity_probe import BY_CHANCE, Labelled, chance_of_pure, check_labels
from search.audit.likeness import LEAST, likenesses
from search.audit.record import LEAK, NOT_CHECKED, PASSED, SUSPICIOUS, Check
from search.audit.scans import Scan, Scans, look_at

TWO_IDS, SCAN, LABELS = "canary: two ids", "canary: duplicated scan", "canary: participant labels"
FLIPPED, CROPPED = "canary: flipped scan", "canary: cropped scan"
PLANTED = "planted copy"
SCALE, NOISE, SHIFT = 1.7, 0.05, 1  # of a copy: brighter, 5 % noise, moved by a voxel, rounded; a judgement
CROP = 1 / 32  # of an edge, off each side of a cropped copy; a judgement
EXCEPTIONS = 0.05  # of the biopsies, from planted labels; a judgement


def check_canaries(scans: Scans, data: Labelled) -> list[Check]:
    """Plant each leak and see whether its check rings."""
    return [*scan_canaries(scans), label_canary(data)]


def scan_canaries(scans: Scans) -> list[Check]:
    """A participant under a second id, a scan in place of another's, and one flipped, one cropped."""
    usable = [scan for scan in scans.scans if not scan.flat and len(scan.participants) == 1]
    people = list(dict.fromkeys(scan.participants[0] for scan in usable))
    if len(people) < LEAST:
        text = (
            f"Copies are planted among {LEAST} participants or more, but {len(people)} have images to copy."
        )
        return [Check(name, NOT_CHECKED, text) for name in (TWO_IDS, SCAN, FLIPPED, CROPPED)]
    copies = [
        replace(doctored(scan, scans), participants=(PLANTED,))
        for scan in usable
        if scan.participants[0] == people[0]
    ]
    stolen, victim = copies[0], people[-1]
    others = [s for s in usable if (s.participants[0], s.sequence) != (victim, stolen.sequence)]
    plants = [(TWO_IDS, usable, copies, PLANTED, "under a second id (brighter, noisier, moved by a voxel)")]
    plants += [(SCAN, others, [stolen], victim, "as another's scan (brighter, noisier, moved by a voxel)")]
    first = next(scan for scan in usable if scan.participants[0] == people[0])
    for name, change in ((FLIPPED, flipped), (CROPPED, cropped)):
        plants.append(
            (name, usable, [changed(first, scans, change)], PLANTED, f"as a {name.split()[1]} copy")
        )
    return [_rings(name, beside, made, (people[0], who), how) for name, beside, made, who, how in plants]


def _rings(
    name: str, beside: Sequence[Scan], copies: Sequence[Scan], people: tuple[str, str], how: str
) -> Check:
    scans = [*beside, *(replace(copy, participants=(people[1],)) for copy in copies)]
    alike = likenesses(scans, range(len(beside), len(scans)))
    found = people_alike(scans, alike).get((min(people), max(people)), [])
    figures = {"planted": len(copies), "found": len(found), "likeness": [pair.value for pair in found]}
    told = f"{{0}}, planted {how}"
    if found:
        return Check(name, PASSED, f"{told}, was found: the alarm works.", (people[0],), figures)
    text = f"{told}, was not found: on these images the check of duplicates cannot be relied on."
    return Check(name, SUSPICIOUS, text, (people[0],), figures)


def doctored(scan: Scan, scans: Scans) -> Scan:
    """What a copy of an image would look like that somebody brightened, moved, added noise to and rounded."""
    return changed(scan, scans, doctored_voxels)


def changed(scan: Scan, scans: Scans, change: Callable[[FloatArray], FloatArray]) -> Scan:
    """An image as it would be seen with other voxels, as stored, of the same size in mm."""
    volume = scans.visits[scan.visit].images[scan.sequence]
    voxels = change(np.concatenate([volume.scaled(slab) for _, slab in slabs(volume)], axis=2))
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    grid = Grid(shape, volume.grid.affine)
    plain = replace(volume, grid=grid, dtype=voxels.dtype, slope=1.0, intercept=0.0)
    content, flat, detail = look_at(plain, iter([(0, voxels)]), scans.window)
    return replace(scan, content=content, flat=flat, detail=detail)


def flipped(voxels: FloatArray) -> FloatArray:
    """Voxels whose first axis runs the other way, while the header still says that it does not."""
    return voxels[::-1]


def cropped(voxels: FloatArray) -> FloatArray:
    """Voxels without a margin on every side."""
    margins = [max(1, round(CROP * size)) for size in voxels.shape]
    return voxels[tuple(slice(margin, -margin) for margin in margins)]


def doctored_voxels(stored: FloatArray, seed: int = 0) -> FloatArray:
    """Brighter, noisier, moved by a voxel and rounded."""
    voxels = stored.astype(np.float64)
    inside = voxels[voxels != 0]
    noise = np.random.default_rng(seed).normal(
        0, NOISE * (inside.std() if len(inside) else 1.0), voxels.shape
    )
    moved = np.roll(voxels + noise, SHIFT, axis=0) * SCALE
    step = max(float(np.abs(moved).max()), 1.0) / 32767
    return np.asarray(np.rint(moved / step) * step, dtype=np.float32)


def label_canary(data: Labelled) -> Check:
    """Labels that the participant decides but for a few biopsies, on the study's own images.

    With the exceptions some participants have both labels, so that the alarm must come from the share of the
    labels that is the participant's, or from a learner that recognises participants in the images.
    """
    label, exceptions = participant_labels(data.participant)
    planted = check_labels(replace(data, label=label))
    figures = {**planted.figures, "exceptions": exceptions, "verdict": planted.verdict}
    told = f"Labels planted by participant, but for {exceptions} of {len(label)} biopsies,"
    if planted.verdict in (LEAK, SUSPICIOUS):
        return Check(LABELS, PASSED, f"{told} were found out: the alarm works.", figures=figures)
    if chance_of_pure(label, data.participant) < BY_CHANCE:
        text = f"{told} were not found: on this cohort the check of labels cannot be relied on."
        return Check(LABELS, SUSPICIOUS, text, figures=figures)
    text = f"{told} passed: there are too few participants with two biopsies."
    return Check(LABELS, NOT_CHECKED, text, figures=figures)


def participant_labels(participant: IntArray, seed: int = 0) -> tuple[IntArray, int]:
    """A label a participant, half of them positive, dealt at random; in 5 % of the biopsies it is the other.

    Returns:
        Labels, shape (biopsies,), and how many are exceptions: never two of one participant, none of a
        participant with one biopsy.
    """
    rng = np.random.default_rng(seed)
    people = int(participant.max()) + 1
    dealt: IntArray = rng.permutation(people) % 2
    label = dealt[participant]
    several = rng.permutation(np.flatnonzero(np.bincount(participant) > 1))
    chosen = several[: max(1, round(EXCEPTIONS * len(label)))]
    for person in chosen:
        label[np.flatnonzero(participant == person)[0]] ^= 1
    return label, len(chosen)
