"""A whole-tumour map: ours beside a plain sliding window with `model.predict`, and beside batches of 32.

One participant with nine images of hospital size, a tumour of so many voxels of 1 mm, a network on patches
around each of them. Every side reads the images, loads the network and predicts every voxel, in a process of
its own; the plain loop does so for some of the voxels, and what it takes for them is multiplied up.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from prepare import SEQUENCES, SHAPE, write_head
from sides import Measured, peak_mb, run_side

RADIUS, BATCH, CHUNK = 8, 32, 2048
EDGE = 2 * RADIUS + 1
SIDES = ("loop", "batched", "ours")
WIDEST = 1e-5  # difference of two sides' probabilities


def write_case(folder: Path, architecture: str, voxels: int) -> None:
    """Images, a network and the voxels of a ball in the middle, canonical, as a user would have them."""
    from models.build import build_model
    from models.spec import ModelSpec

    write_head(folder, 0)
    (folder / "biopsies.tsv").write_text("biopsy_id\tparticipant_id\tx\ty\tz\nb000\tsub-000\t0\t0\t0\n")
    (folder / "cohort.toml").write_text(
        'name = "head"\nimages = "{participant_id}/{sequence}.nii.gz"\n'
        f'sequences = {json.dumps(SEQUENCES)}\nbiopsies = "biopsies.tsv"\n'
        '[coordinates]\nspace = "world"\n[masks]\nbrain = "{participant_id}/brain.nii.gz"\n'
    )
    axes = np.ogrid[tuple(slice(-(n // 2), n - n // 2) for n in SHAPE)]
    distance = sum(axis**2 for axis in axes).ravel()
    ball = np.sort(np.argsort(distance, kind="stable")[:voxels])
    np.save(folder / "voxels.npy", np.stack(np.unravel_index(ball, SHAPE), axis=1).astype(np.int64))
    model = build_model(ModelSpec(architecture, (EDGE, EDGE, len(SEQUENCES))), seed=1)
    model.save(folder / "network.keras")


def volumes(folder: Path) -> np.ndarray:
    """What a user writes with care: each image read once, z-scored in the mask, (x, y, z, sequences)."""
    import nibabel as nib

    home = folder / "sub-000"
    mask = nib.as_closest_canonical(nib.load(home / "brain.nii.gz")).get_fdata() > 0
    scaled = []
    for sequence in SEQUENCES:
        data = nib.as_closest_canonical(nib.load(home / f"{sequence}.nii.gz")).get_fdata()
        scaled.append(((data - data[mask].mean()) / data[mask].std()).astype(np.float32))
    return np.stack(scaled, axis=-1)


def patch(images: np.ndarray, voxel: np.ndarray) -> np.ndarray:
    x, y, z = voxel
    return images[x - RADIUS : x + RADIUS + 1, y - RADIUS : y + RADIUS + 1, z]


def clock() -> np.ndarray:
    """Seconds of the wall and of all processors."""
    return np.array([time.perf_counter(), time.process_time()])


def loop(folder: Path, voxels: np.ndarray, some: int) -> tuple[np.ndarray, np.ndarray]:
    """A call of `model.predict` a voxel, for some; the seconds are those that the others would have taken."""
    import keras

    images, model = volumes(folder), keras.models.load_model(folder / "network.keras")
    first = model.predict(patch(images, voxels[0])[None], verbose=0)  # traces, and is not multiplied
    begun = clock()
    rest = [model.predict(patch(images, voxel)[None], verbose=0) for voxel in voxels[1:some]]
    found = np.concatenate([first, *rest])[:, 0]
    return found, (clock() - begun) * (len(voxels) - len(found)) / len(rest)


def batched(folder: Path, voxels: np.ndarray, some: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches cut one by one, then Keras's own batches."""
    import keras

    images, model = volumes(folder), keras.models.load_model(folder / "network.keras")
    patches = np.stack([patch(images, voxel) for voxel in voxels])
    return model.predict(patches, batch_size=BATCH, verbose=0)[:, 0], np.zeros(2)


def ours(folder: Path, voxels: np.ndarray, some: int) -> tuple[np.ndarray, np.ndarray]:
    from data_prep.cohort import read_cohort
    from data_prep.patches import PatchRequest
    from data_prep.windows import open_windows
    from models.saved_network import SavedNetwork

    cohort = read_cohort(folder)
    network = SavedNetwork.open(folder / "network.keras", "classification")
    (windows,) = open_windows(cohort, "sub-000", PatchRequest(cohort.sequences, RADIUS))
    parts = [voxels[start : start + CHUNK] for start in range(0, len(voxels), CHUNK)]
    found = [network.predict(windows.patches(part).images(RADIUS)) for part in parts]
    return np.concatenate(found)[:, 0], np.zeros(2)


WAYS: dict[str, Callable[[Path, np.ndarray, int], tuple[np.ndarray, np.ndarray]]] = {
    "loop": loop,
    "batched": batched,
    "ours": ours,
}


def run_here(side: str, folder: Path, some: int) -> None:
    """Run one side in this process, its imports of TensorFlow included, and leave its map in the folder."""
    started = clock()
    said, rest = WAYS[side](folder, np.load(folder / "voxels.npy"), some)
    seconds, cpu = clock() - started + rest
    np.save(folder / f"{side}.npy", said)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak_mb()}))


def check(folder: Path) -> float:
    """The largest difference of any two sides; exits if they have not drawn the same map."""
    maps = [np.load(folder / f"{side}.npy").astype(np.float64) for side in SIDES]
    shared = [each[: min(map(len, maps))] for each in maps]
    widest = max(float(np.abs(each - shared[-1]).max()) for each in shared[:-1])
    widest = max(widest, float(np.abs(maps[1] - maps[2]).max()))
    if widest > WIDEST or np.ptp(maps[-1]) < 100 * WIDEST:
        sys.exit(f"the sides must draw the same map, not a flat one, but they differ by {widest:.1e}")
    return widest


def tell(rounds: list[dict[str, Measured]]) -> None:
    figures = {"seconds": "s", "cpu": "CPU s", "peak_mb": "MiB at the peak"}
    for side in SIDES:
        medians = {key: statistics.median(one[side][key] for one in rounds) for key in figures}
        print(f"{side}: " + ", ".join(f"{medians[key]:.1f} {unit}" for key, unit in figures.items()))
    for other in SIDES[:-1]:
        for key, unit in figures.items():
            ratios = sorted(one[other][key] / one["ours"][key] for one in rounds)
            median = statistics.median(ratios)
            print(f"{other} / ours, {unit}: {median:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def main(arguments: argparse.Namespace) -> None:
    if arguments.loop_voxels < 2 or arguments.voxels < arguments.loop_voxels:
        sys.exit("--loop-voxels: from 2 to as many as --voxels are needed")
    threads = str(arguments.threads)
    os.environ |= {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "2"}
    folder = Path(tempfile.mkdtemp())
    try:
        write_case(folder, arguments.architecture, arguments.voxels)
        print(
            f"map: {arguments.voxels} voxels, {len(SEQUENCES)} images of {'x'.join(map(str, SHAPE))}, "
            f"{arguments.architecture} on {EDGE}x{EDGE} pixels, {threads} threads; the loop on "
            f"{arguments.loop_voxels} voxels, multiplied up"
        )
        rounds = []
        for number in range(1, arguments.runs + 1):
            rounds.append({s: run_side(__file__, s, str(folder), str(arguments.loop_voxels)) for s in SIDES})
            times = ", ".join(f"{side} {one['seconds']:.1f} s" for side, one in rounds[-1].items())
            print(f"  run {number} of {arguments.runs}: {times}; differ by {check(folder):.1e}", flush=True)
        tell(rounds)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in SIDES:
        run_here(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--voxels", type=int, default=30_000, help="of 1 mm: 30 cm3")
        parser.add_argument("--loop-voxels", type=int, default=300, help="of them, for the plain loop")
        parser.add_argument("--architecture", default="resnet50")
        parser.add_argument("--threads", type=int, default=2)
        parser.add_argument("--runs", type=int, default=3, help="how often every side is run")
        main(parser.parse_args())
