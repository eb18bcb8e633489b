"""Draw `docs/phantom.png`: the nine sequences of one phantom participant with the biopsy sites.

Run from the root of the repository: `.venv/bin/python docs/draw_phantom.py`.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from matplotlib.figure import Figure

from data_prep.phantom import SEQUENCES, PhantomSpec, write_phantom

PARTICIPANT = "sub-003"
SPEC = PhantomSpec(participants=3, biopsies=24, signal="easy", size=128, missing=0.0, seed=5)
NEAR = 5.0  # mm above and below the slice within which a site is drawn


def read_sites(cohort: Path, image: Any) -> np.ndarray:
    """Recorded sites of the participant in voxels, shape (biopsies, 3)."""
    with (cohort / "biopsies.tsv").open() as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if row["participant_id"] == PARTICIPANT]
    world = [[float(row[axis]) for axis in "xyz"] for row in rows]
    return nibabel.affines.apply_affine(np.linalg.inv(image.affine), world)


def draw(cohort: Path) -> Figure:
    """Nine axial slices through the most sites, as radiologists hang them: the right side on the left."""
    figure = Figure(figsize=(9, 9.5), facecolor="black", layout="constrained")
    for axes, sequence in zip(figure.subplots(3, 3).flat, SEQUENCES, strict=True):
        image = nibabel.load(cohort / PARTICIPANT / "ses-1" / f"{sequence}.nii.gz")
        sites = read_sites(cohort, image)
        far = abs(np.rint(sites[:, None, 2]) - sites[None, :, 2]) > NEAR
        height, near = round(sites[far.sum(axis=1).argmin(), 2]), sites[~far[far.sum(axis=1).argmin()]]
        data = image.get_fdata()[:, :, height]
        low, high = np.quantile(data, (0.02, 0.998))
        axes.imshow(data.T, origin="lower", cmap="gray", vmin=low, vmax=high, interpolation="bicubic")
        axes.plot(near[:, 0], near[:, 1], "o", mfc="none", mec="#ffb000", ms=7, mew=1.3)
        axes.set_title(sequence, color="white", fontsize=13)
        axes.invert_xaxis()
        axes.set_axis_off()
    return figure


def main() -> None:
    """Write a phantom to a temporary folder and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        cohort = Path(folder) / "phantom"
        write_phantom(cohort, SPEC)
        draw(cohort).savefig(Path(__file__).with_name("phantom.png"), dpi=64)


if __name__ == "__main__":
    main()
