"""Patches of a cohort: `load_patches`, cold and warm, beside a loop over `nibabel.load(...).get_fdata()`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from sides import compare, measure

RADIUS, PARTICIPANTS, BIOPSIES, SIZE, RUNS = 8, 12, 40, 128, 3


def load(cohort: Path, cache: Path) -> None:
    from data_prep.cache import load_patches
    from data_prep.cohort import read_cohort
    from data_prep.patches import PatchRequest

    read = read_cohort(cohort)
    load_patches(read, PatchRequest(read.sequences, RADIUS), cache)


def loop(cohort: Path) -> None:
    """What a user writes with care: each volume once, as float64, z-scored in the mask, then cut."""
    import nibabel as nib
    import numpy as np

    from data_prep.cohort import read_cohort

    read = read_cohort(cohort)
    for participant in read.participants:
        mine = [biopsy for biopsy in read.biopsies if biopsy.participant_id == participant]
        mask = nib.as_closest_canonical(nib.load(read.mask_path(mine[0], "brain"))).get_fdata() > 0
        for path in read.images(mine[0], read.sequences).values():
            image = nib.as_closest_canonical(nib.load(path))
            data = image.get_fdata()
            padded = np.pad((data - data[mask].mean()) / data[mask].std(), RADIUS)
            for biopsy in mine:
                site = np.linalg.inv(image.affine) @ (*biopsy.position, 1)
                x, y, z = np.floor(site[:3] + 0.5).astype(int)
                patch = padded[x : x + 2 * RADIUS + 1, y : y + 2 * RADIUS + 1, z + RADIUS]
                patch.astype(np.float32)


def main() -> None:
    from data_prep.phantom import PhantomSpec, write_phantom

    folder = Path(tempfile.mkdtemp())
    try:
        spec = PhantomSpec(participants=PARTICIPANTS, biopsies=BIOPSIES, size=SIZE, missing=0.0)
        write_phantom(folder / "cohort", spec)
        print(
            f"prepare: {PARTICIPANTS} participants x 9 sequences of {SIZE}^3, "
            f"{BIOPSIES} biopsies, radius {RADIUS}"
        )
        print("cold:")
        compare(__file__, "cold", "loop", (str(folder),), RUNS)
        load(folder / "cohort", folder / "cache")
        print("warm:")
        compare(__file__, "warm", "loop", (str(folder),), 1)
    finally:
        shutil.rmtree(folder)


SIDES = {
    "cold": lambda folder: load(folder / "cohort", Path(tempfile.mkdtemp(dir=folder))),
    "warm": lambda folder: load(folder / "cohort", folder / "cache"),
    "loop": lambda folder: loop(folder / "cohort"),
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(lambda: SIDES[sys.argv[1]](Path(sys.argv[2])))
    else:
        main()
