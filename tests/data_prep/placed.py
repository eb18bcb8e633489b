"""One participant with images on whatever grids a test wants, and what is known of intensities there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np

from data_prep.cohort import read_cohort
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.patches import extract_patches

ORIENTATIONS = [
    np.array(list(zip(axes, signs, strict=True)))
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def affine_of(edges: Sequence[float], origin: Sequence[float], degrees: Sequence[float] = (0, 0, 0)):
    """Axes of the world turned about x, y, z, in single precision as files keep it."""
    turn = nib.eulerangles.euler2mat(*np.radians(degrees)[::-1])
    affine = nib.affines.from_matvec(turn * np.asarray(edges), origin)
    return affine.astype(np.float32).astype(np.float64)


def image_of(function, shape: Sequence[int], affine: np.ndarray) -> nib.Nifti1Image:
    """The image of a function of world coordinates x, y, z."""
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return nib.Nifti1Image(function(*np.moveaxis(world, -1, 0)).astype(np.float32), affine)


def noise(shape: Sequence[int], affine: np.ndarray, seed: int = 0) -> nib.Nifti1Image:
    values = np.random.default_rng(seed).normal(100, 20, size=shape)
    return nib.Nifti1Image(values.astype(np.float32), affine)


def write_cohort(
    folder: Path,
    images: Mapping[str, nib.Nifti1Image],
    sites: Sequence[Sequence[float]],
    space: str = "world",
    convention: str | None = None,
) -> Path:
    """A cohort of one participant; "brain" is the name of its mask."""
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        nib.save(image, folder / "sub" / f"{name}.nii")
    rows = [f"b{k}\tsub\t" + "\t".join(repr(float(x)) for x in site) for k, site in enumerate(sites)]
    (folder / "biopsies.tsv").write_text("\n".join(["biopsy_id\tparticipant_id\tx\ty\tz", *rows, ""]))
    lines = [
        'name = "placed"',
        'images = "{participant_id}/{sequence}.nii"',
        f"sequences = {[name for name in images if name != 'brain']}",
        'biopsies = "biopsies.tsv"',
        "[coordinates]",
        f'space = "{space}"',
        *([f'convention = "{convention}"'] if convention else []),
        *(["[masks]", 'brain = "{participant_id}/brain.nii"'] if "brain" in images else []),
    ]
    (folder / "cohort.toml").write_text("\n".join([*lines, ""]))
    return folder


def extract(folder: Path, radius: int = 2, sequences: Sequence[str] | None = None, **options) -> PatchSet:
    cohort = read_cohort(folder)
    return extract_patches(cohort, PatchRequest(tuple(sequences or cohort.sequences), radius, **options))


def samples(patches: PatchSet) -> np.ndarray:
    """Raw intensities, shape (n, E, E, slices, sequences)."""
    return patches.raw.reshape(*patches.raw.shape[:3], patches.slices, -1)
