"""Whether one scan, or one participant, is in the cohort twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.patches import PatchSet
from search.audit.likeness import LEAST, NOT_LOOKED_FOR, Likeness, comparable, likenesses
from search.audit.record import LEAK, NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS, Check
from search.audit.scans import Scan

SCANS, SEQUENCES, BIOPSIES = "duplicate scans", "copied sequences", "duplicate biopsies"
SAME_PATCH = 0.98  # correlation over all sequences that two biopsies share; a judgement
SHARED_SEQUENCES, SHARED_VOXELS = 2, 200  # below these, smooth patches are alike by chance; a judgement


def check_scans(scans: Sequence[Scan]) -> list[Check]:
    """Images of two participants, or of two sequences of one participant, that are copies of each other."""
    alike = likenesses(scans)
    across = [pair for pair in alike if scans[pair.one].participants != scans[pair.other].participants]
    within = [pair for pair in alike if scans[pair.one].participants == scans[pair.other].participants]
    return [_across(scans, across), _within(scans, within)]


def people_alike(scans: Sequence[Scan], pairs: Sequence[Likeness]) -> dict[tuple[str, str], list[Likeness]]:
    """The pairs of participants who share a scan, the most alike first."""
    people: dict[tuple[str, str], list[Likeness]] = {}
    for pair in pairs:
        names = {*scans[pair.one].participants, *scans[pair.other].participants}
        for one, other in combinations(sorted(names), 2):
            people.setdefault((one, other), []).append(pair)
    return people


def _across(scans: Sequence[Scan], pairs: Sequence[Likeness]) -> Check:
    shared = [scan for scan in scans if len(scan.participants) > 1]
    people = people_alike(scans, pairs)
    for scan in shared:
        for one, other in combinations(sorted(scan.participants), 2):
            people.setdefault((one, other), [])
    compared = [scans[place] for place in comparable(scans)]
    found = [_told(scans, *names, alike) for names, alike in people.items()]
    figures = {"images": len(scans), "compared": len(compared), "pairs": found}
    if people:
        (one, other), alike = next(iter(people.items()))
        which = sorted({scans[place].sequence for pair in alike for place in (pair.one, pair.other)})
        what = f"in {', '.join(which)}" if which else "by the same files"
        more = f"; {len(people) - 1} more such pairs" if len(people) > 1 else ""
        text = f"{{0}} and {{1}} show the same head ({_plain(what)}): one scan under two ids{more}."
        return Check(SCANS, LEAK, text, (one, other), figures)
    if all(scan.flat for scan in scans):
        text = "All images are masks, which are alike by nature and were not compared."
        return Check(SCANS, NOT_APPLICABLE, text, figures=figures)
    participants = {name for scan in compared for name in scan.participants}
    if not compared:
        text = f"No sequence has {LEAST} participants: only equal voxels tell a copy, and there are none."
        return Check(SCANS, NOT_CHECKED, text, figures=figures)
    text = (
        f"No copy found among {len(compared)} images of {len(participants)} participants (not looked for: "
        f"{NOT_LOOKED_FOR})."
    )
    return Check(SCANS, PASSED, text, figures=figures)


def _within(scans: Sequence[Scan], pairs: Sequence[Likeness]) -> Check:
    found = [
        {
            "participant": " / ".join(scans[pair.one].participants),
            "sequences": [scans[pair.one].sequence, scans[pair.other].sequence],
            "likeness": pair.value,
        }
        for pair in pairs
    ]
    figures = {"pairs": found}
    if not pairs:
        return Check(SEQUENCES, PASSED, "No sequence of a participant is a copy of another.", figures=figures)
    first = pairs[0]
    people = {scans[pair.one].participants for pair in pairs}
    names = f"{scans[first.one].sequence} and {scans[first.other].sequence}"
    text = (
        f"{_plain(names)} of {{0}} are one picture, as are {len(pairs) - 1} more pairs of sequences of "
        f"{len(people)} participants: a file copied under another name, or one sequence made from another."
        if len(pairs) > 1
        else f"{_plain(names)} of {{0}} are one picture: a file copied under another name?"
    )
    return Check(SEQUENCES, SUSPICIOUS, text, (scans[first.one].participants[0],), figures)


def _told(scans: Sequence[Scan], one: str, other: str, alike: Sequence[Likeness]) -> dict[str, object]:
    sequences = [[scans[pair.one].sequence, scans[pair.other].sequence] for pair in alike]
    return {
        "participants": [one, other],
        "sequences": sequences,
        "likeness": [pair.value for pair in alike],
        "equal_voxels": sum(pair.value == 1.0 for pair in alike),
    }


def _plain(text: str) -> str:
    """A text that `str.format` leaves alone."""
    return text.replace("{", "{{").replace("}", "}}")


def check_biopsies(patches: PatchSet) -> Check:
    """Biopsies of two participants whose patches are the same, whatever the brightness."""
    likeness = patch_likeness(patches)
    who = np.array(patches.participant_id)
    pairs = np.argwhere(np.triu((likeness >= SAME_PATCH) & (who[:, None] != who), 1))
    found = [
        {
            "biopsies": [patches.biopsy_id[a], patches.biopsy_id[b]],
            "participants": [patches.participant_id[a], patches.participant_id[b]],
            "likeness": round(float(likeness[a, b]), 3),
        }
        for a, b in pairs.tolist()
    ]
    figures = {
        "pairs": found,
        "compared": int(np.isfinite(np.triu(likeness, 1)).sum()),
        "radius": patches.radius,
    }
    if found:
        a, b = pairs[0]
        ids = (
            patches.biopsy_id[a],
            patches.participant_id[a],
            patches.biopsy_id[b],
            patches.participant_id[b],
        )
        text = "The patches of {0} ({1}) and {2} ({3}) are the same: one site under two ids."
        return Check(BIOPSIES, LEAK, text, ids, figures)
    if not np.isfinite(likeness[who[:, None] != who]).any():
        return Check(BIOPSIES, NOT_CHECKED, "Patches are too small to be told apart.", figures=figures)
    return Check(BIOPSIES, PASSED, "No two participants have a biopsy with the same patch.", figures=figures)


def patch_likeness(patches: PatchSet) -> DoubleArray:
    """Correlation of the patches of each two biopsies over the sequences that both have, shape (n, n).

    Each sequence is taken at mean 0 and deviation 1 of its own. NaN where they share fewer than two sequences
    or 200 voxels.
    """
    channels, edge = len(patches.channel_names), 2 * patches.radius + 1
    voxels = patches.raw_images(patches.radius).reshape(len(patches), edge**2, channels).astype(np.float64)
    voxels -= voxels.mean(axis=1, keepdims=True)
    spread = np.sqrt((voxels**2).sum(axis=1, keepdims=True))
    unit = np.where(spread > 0, voxels / np.where(spread > 0, spread, 1), 0.0)
    has = (spread[:, 0] > 0).astype(np.float64)
    total, shared = np.einsum("ipc,jpc->ij", unit, unit, optimize=True), has @ has.T
    enough = (shared >= SHARED_SEQUENCES * patches.slices) & (shared * edge**2 >= SHARED_VOXELS)
    return np.where(enough, total / np.maximum(shared, 1), np.nan)
