from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from search.audit.likeness import COPY, LEAST, SAME, comparable, likenesses
from search.audit.scans import Scan, Scans, detail_of

EDGE = 32


def heads(people: int, seed: int = 0) -> list[np.ndarray]:
    """Volumes that share an anatomy, each with tissue of its own."""
    rng = np.random.default_rng(seed)
    anatomy = gaussian_filter(rng.normal(size=(EDGE,) * 3), 2) * 30
    grid = np.indices((EDGE,) * 3) - EDGE / 2
    inside = (grid**2).sum(axis=0) < (EDGE * 0.42) ** 2
    own = [gaussian_filter(rng.normal(size=(EDGE,) * 3), 1.2) * 8 for _ in range(people)]
    return [inside * (10 + anatomy + each) for each in own]


def scan_of(volume: np.ndarray, participant: str, sequence: str = "T1", content: str | None = None) -> Scan:
    content = content or f"{participant} {sequence}"
    return Scan(0, (participant,), sequence, None, content, False, detail_of(volume))  # type: ignore[arg-type]


def cohort(people: int = 10) -> tuple[list[np.ndarray], list[Scan]]:
    volumes = heads(people)
    return volumes, [scan_of(volume, f"p{n}") for n, volume in enumerate(volumes)]


COPIES = {
    "the same": lambda v, rng: v,
    "brighter": lambda v, rng: 3.7 * v + 12,
    "rounded": lambda v, rng: np.rint(v * 20).astype(np.int16),
    "noisy": lambda v, rng: v + rng.normal(size=v.shape) * 0.05 * v.std(),
    "flipped": lambda v, rng: v[::-1],
    "inverted": lambda v, rng: v.max() - v,
    "flipped and inverted": lambda v, rng: 9 - 3 * v[:, ::-1],
    "moved by a voxel": lambda v, rng: np.roll(v, 1, axis=1),
    "all of it": lambda v, rng: np.rint(
        50 * (np.roll(v, 1, axis=0) + rng.normal(size=v.shape) * 0.05 * v.std())
    ),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_under_another_id_is_found_whatever_was_done_to_it(how: str) -> None:
    volumes, scans = cohort()
    copy = COPIES[how](volumes[3], np.random.default_rng(1))
    found = likenesses([*scans, scan_of(copy, "copy")])
    assert [(pair.one, pair.other) for pair in found] == [(3, 10)]
    assert SAME <= found[0].value <= 1 + 1e-6


def test_unrelated_heads_of_one_anatomy_are_not_alike() -> None:
    assert likenesses(cohort(20)[1]) == []


def test_equal_voxels_are_found_among_any_number_and_masks_never() -> None:
    volumes = heads(2)
    pair = [scan_of(volumes[0], "a", content="x"), scan_of(volumes[1], "b", content="x")]
    assert [(p.one, p.other, p.value) for p in likenesses(pair)] == [(0, 1, 1.0)]
    assert likenesses([replace(scan, flat=True) for scan in pair]) == []


def test_few_participants_are_told_apart_by_equal_voxels_alone() -> None:
    volumes = heads(LEAST - 1)
    doubled = [*volumes[: LEAST - 2], volumes[0] * 2]
    scans = [scan_of(volume, f"p{n}") for n, volume in enumerate(doubled)]
    assert comparable(scans) == likenesses(scans) == []
    one_more = [*scans, scan_of(volumes[-1], "more")]
    assert [(pair.one, pair.other) for pair in likenesses(one_more)] == [(0, LEAST - 2)]


def test_a_sequence_that_few_have_is_compared_by_equal_voxels_alone() -> None:
    """Its mean cannot be taken out, so that the anatomy that all share would look like a copy."""
    volumes, scans = cohort()
    rare = [scan_of(-2 * volumes[n] ** 2, f"p{n}", "T2") for n in range(3)]
    assert comparable([*scans, *rare]) == list(range(10))
    assert likenesses([*scans, *rare]) == []


def test_two_sequences_of_one_participant_must_be_nearly_equal() -> None:
    volumes, scans = cohort()
    rng = np.random.default_rng(0)
    copied = scan_of(volumes[0] * 2, "p0", "T2")
    like = scan_of(volumes[1] + rng.normal(size=volumes[1].shape) * 0.5 * volumes[1].std(), "p1", "T2")
    others = [scan_of(volume, f"p{n}", "T2") for n, volume in enumerate(heads(10, seed=1)) if n > 1]
    found = likenesses([*scans, copied, like, *others])
    assert [(pair.one, pair.other) for pair in found] == [(0, 10)]
    assert found[0].value >= COPY


def test_only_pairs_with_a_chosen_image_are_looked_at() -> None:
    volumes, scans = cohort()
    more = [*scans, scan_of(volumes[0] * 2, "c"), scan_of(volumes[1] * 2, "d")]
    assert [(p.one, p.other) for p in likenesses(more, among=[11])] == [(1, 11)]


def test_the_toy_cohort_has_no_copies(scans: Scans) -> None:
    assert likenesses(scans.scans) == []
