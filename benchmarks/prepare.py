"""Patches of a cohort of hospital size: `load_patches`, cold and warm, beside a loop of `get_fdata()`.

Also the floor: inflating the same files, with the same library, by as many threads, and nothing else.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from sides import Measured, peak_mb, run_side

RADIUS, SHAPE, PER_PARTICIPANT = 8, (256, 256, 150), 3
SEQUENCES = ("FA", "MD", "EPI-C", "FLAIR", "rCBV", "srCBV", "T1", "T1Gd", "T2")
SLOPE = 0.5
SIDES = ("loop", "pool", "cold", "warm", "floor")
# As many readers as `load_patches` takes.
CORES = max(2, len(os.sched_getaffinity(0)))


def write_cohort(folder: Path, participants: int) -> float:
    """Write a cohort of heads in air: smooth contrast and noise as int16, the air zero, gzip level 6.

    Returns:
        How many times the images shrank.
    """
    rows = ["biopsy_id\tparticipant_id\tx\ty\tz"]
    rng = np.random.default_rng(0)
    for number in range(participants * PER_PARTICIPANT):
        x, y, z = rng.uniform(-30, 30, 3).round(1)
        rows.append(f"b{number:03}\tsub-{number // PER_PARTICIPANT:03}\t{x}\t{y}\t{z}")
    folder.mkdir()
    (folder / "biopsies.tsv").write_text("\n".join(rows) + "\n")
    (folder / "cohort.toml").write_text(
        'name = "heads"\nimages = "{participant_id}/{sequence}.nii.gz"\n'
        f'sequences = {json.dumps(SEQUENCES)}\nbiopsies = "biopsies.tsv"\n'
        '[coordinates]\nspace = "world"\n[masks]\nbrain = "{participant_id}/brain.nii.gz"\n'
    )
    with ThreadPoolExecutor(CORES) as pool:
        sizes = list(pool.map(lambda number: write_head(folder, number), range(participants)))
    return participants * len(SEQUENCES) * int(np.prod(SHAPE)) * 2 / sum(sizes)


def write_head(folder: Path, number: int) -> int:
    """The images of one participant; their bytes on disk."""
    rng = np.random.default_rng(number)
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in SHAPE)]
    distance = sum((a / edge) ** 2 for a, edge in zip(axes, (0.80, 0.95, 0.98), strict=True))
    head = (distance < 1).astype(np.float32)
    home = folder / f"sub-{number:03}"
    home.mkdir()
    write_nifti(home / "brain.nii.gz", (distance < 0.64).astype(np.uint8))
    total = 0
    for sequence in SEQUENCES:
        phase = rng.uniform(0, 6, 3)
        smooth = sum(np.sin(5 * a + p) for a, p in zip(axes, phase, strict=True)).astype(np.float32)
        noise = rng.standard_normal(SHAPE, dtype=np.float32)
        total += write_nifti(
            home / f"{sequence}.nii.gz", ((900 + 150 * smooth + 40 * noise) * head).astype(np.int16)
        )
    return total


def write_nifti(path: Path, data: np.ndarray) -> int:
    """A NIfTI file whose axes run left, posterior, superior, as scanners have them."""
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_shape(data.shape)
    header.set_data_dtype(data.dtype)
    header.set_sform(np.array([[-1, 0, 0, 128], [0, -1, 0, 128], [0, 0, 1, -75], [0, 0, 0, 1]]), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["scl_slope"], header["scl_inter"] = (1 if data.dtype == np.uint8 else SLOPE), 0
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    content = squeeze.compress(header.binaryblock + bytes(4)) + squeeze.compress(data.tobytes(order="F"))
    return path.write_bytes(content + squeeze.flush())


def sites(cohort: Path) -> dict[str, list[list[float]]]:
    found = defaultdict(list)
    with (cohort / "biopsies.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            found[row["participant_id"]].append([float(row[axis]) for axis in "xyz"])
    return found


def of_participant(folder: Path, places: list[list[float]]) -> np.ndarray:
    """What a user writes with care: each volume read once, z-scored in the mask, only the patches kept.

    Returns:
        Patches (sites, width, width, sequences), float32.
    """
    import nibabel as nib

    mask = nib.as_closest_canonical(nib.load(folder / "brain.nii.gz")).get_fdata() > 0
    patches = []
    for sequence in SEQUENCES:
        image = nib.as_closest_canonical(nib.load(folder / f"{sequence}.nii.gz"))
        data = image.get_fdata()
        inside = data[mask]
        mean, deviation = inside.mean(), inside.std()
        for place in places:
            x, y, z = np.floor(np.linalg.inv(image.affine) @ (*place, 1) + 0.5).astype(int)[:3]
            patch = data[x - RADIUS : x + RADIUS + 1, y - RADIUS : y + RADIUS + 1, z]
            patches.append(((patch - mean) / deviation).astype(np.float32))
    width = 2 * RADIUS + 1
    return np.array(patches).reshape(len(SEQUENCES), len(places), width, width).transpose(1, 2, 3, 0)


def loop(cohort: Path) -> Iterable[np.ndarray]:
    return [of_participant(cohort / name, places) for name, places in sites(cohort).items()]


def pool(cohort: Path) -> Iterable[np.ndarray]:
    """The same loop by somebody who has thought of a process for each core."""
    with multiprocessing.Pool(CORES) as workers:
        return workers.starmap(
            of_participant, [(cohort / name, places) for name, places in sites(cohort).items()]
        )


def load(cohort: Path, cache: Path) -> Iterable[np.ndarray]:
    from data_prep.cache import load_patches
    from data_prep.cohort import read_cohort
    from data_prep.patches import PatchRequest

    read = read_cohort(cohort)
    return [load_patches(read, PatchRequest(read.sequences, RADIUS), cache).images(RADIUS)]


def inflate(path: Path) -> None:
    from isal import igzip

    with igzip.open(path) as file:
        while file.read(2**20):
            pass


def floor(cohort: Path) -> Iterable[np.ndarray]:
    with ThreadPoolExecutor(CORES) as workers:
        list(workers.map(inflate, sorted(cohort.rglob("*.nii.gz"))))
    return []


def run_here(side: str, folder: Path) -> None:
    """Run one side in this process; its imports count as its time, and are told apart in its memory."""
    started = time.perf_counter()
    if side in ("cold", "warm"):
        import data_prep.cache
        import data_prep.cohort  # noqa: F401
    elif side == "floor":
        import isal.igzip  # noqa: F401
    else:
        import nibabel  # noqa: F401
    status = Path("/proc/self/status").read_text()
    imported = int(status.split("VmRSS:")[1].split()[0]) / 1024
    cohort, fresh = folder / "cohort", Path(tempfile.mkdtemp(dir=folder))
    work = {
        "loop": lambda: loop(cohort),
        "pool": lambda: pool(cohort),
        "cold": lambda: load(cohort, fresh),
        "warm": lambda: load(cohort, folder / "cache"),
        "floor": lambda: floor(cohort),
    }
    patches = work[side]()
    seconds = time.perf_counter() - started
    peak = peak_mb()
    # Both ways must have made the same patches: random weights tell a flip or two swapped sites apart.
    check = weighed(list(patches))
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "above_mb": peak - imported, "check": check}))


def weighed(parts: list[np.ndarray]) -> float:
    """The sum of all patches (biopsies, width, width, sequences), each value times a fixed random weight."""
    if not parts:
        return 0.0
    whole = np.concatenate(parts)
    return float((whole * np.random.default_rng(0).uniform(1, 2, whole.shape)).sum())


def tell(rounds: list[dict[str, Measured]]) -> None:
    def ratio(other: str, ours: str, figure: str) -> str:
        ratios = sorted(one[other][figure] / one[ours][figure] for one in rounds)
        return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"

    for side in SIDES:
        medians = {k: statistics.median(one[side][k] for one in rounds) for k in rounds[0][side]}
        memory = f"; peak {medians['peak_mb']:.0f} MiB, {medians['above_mb']:.0f} above imports"
        print(f"{side}: {medians['seconds']:.2f} s{'' if side == 'pool' else memory}")
    for other, ours in (("loop", "cold"), ("pool", "cold"), ("loop", "warm"), ("cold", "floor")):
        print(f"seconds, {other} / {ours}: {ratio(other, ours, 'seconds')}")
    print(f"peak memory, loop / cold: {ratio('loop', 'cold', 'peak_mb')}")
    print(f"peak memory above imports, loop / cold: {ratio('loop', 'cold', 'above_mb')}")


def main(participants: int, runs: int) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        shrunk = write_cohort(folder / "cohort", participants)
        shape = "x".join(map(str, SHAPE))
        print(
            f"prepare: {participants} participants x {len(SEQUENCES)} images of {shape} int16, "
            f"{shrunk:.1f} times smaller by gzip, {participants * PER_PARTICIPANT} biopsies, radius {RADIUS}"
        )
        load(folder / "cohort", folder / "cache")
        rounds = []
        for number in range(1, runs + 1):
            rounds.append({side: run_side(__file__, side, str(folder)) for side in SIDES})
            times = ", ".join(f"{side} {one['seconds']:.2f} s" for side, one in rounds[-1].items())
            print(f"  run {number} of {runs}: {times}", flush=True)
            checks = [rounds[-1][side]["check"] for side in ("loop", "pool", "cold", "warm")]
            if not np.allclose(checks, checks[0], rtol=1e-5):
                sys.exit(f"the sides must make the same patches, but their sums are {checks}")
        tell(rounds)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in SIDES:
        run_here(sys.argv[1], Path(sys.argv[2]))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--participants", type=int, default=45)
        parser.add_argument("--runs", type=int, default=3, help="how often every side is run")
        arguments = parser.parse_args()
        main(arguments.participants, arguments.runs)
