"""Cohorts in which one thing is wrong, each in its own way, for `radsearch check` to name.

A fault is planted into a copy of a sound phantom: four participants (sub-001 to sub-004) with four biopsies,
five sequences of 32 voxels an edge, masks of brain and tumour, one participant scanned twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from data_prep.phantom import PhantomSpec, write_phantom
from data_prep.phantom.write import nifti_bytes
from tests.data_prep.check.heads import cut, flip_a_bit

SEQUENCES = ("MD", "FLAIR", "T1", "T1Gd", "T2")
SPEC = PhantomSpec(participants=4, biopsies=16, size=32, missing=0.0, repeats=1, seed=3)
EDGE = 4  # mm
COLUMNS = ("biopsy_id", "participant_id", "session", "x", "y", "z")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        name: Of the test.
        code: Of the finding that must name it.
        plant: Makes it wrong; called with the cohort's folder.
        says: What the finding must hold: whose it is, unless the fault says otherwise.
        is_note: Whether the finding is a note: what may be sound.
    """

    name: str
    code: str
    plant: Callable[[Path], object]
    says: str = "sub-002"
    is_note: bool = False


def sound_cohort(folder: Path) -> Path:
    """The phantom, with fewer sequences, voxels of 4 mm, as heads are large, four sites in each tumour."""
    write_phantom(folder, SPEC)
    for path in folder.glob("sub-*/ses-*/*.nii.gz"):
        if path.name.removesuffix(".nii.gz") not in SEQUENCES:
            path.unlink()
    shutil.rmtree(folder / "truth")
    lines = (folder / "cohort.toml").read_text().splitlines()
    names = ", ".join(f'"{name}"' for name in SEQUENCES)
    lines = [f"sequences = [{names}]" if line.startswith("sequences") else line for line in lines]
    (folder / "cohort.toml").write_text("\n".join(lines) + "\n")
    for path in folder.rglob("*.nii.gz"):
        enlarge(path)
    write_rows(folder / "biopsies.tsv", [COLUMNS, *sites_in_tumours(folder)])
    return folder


def enlarge(path: Path) -> None:
    """Make voxels 4 mm wide; what is stored stays."""
    old: Any = nib.load(path)
    stored = np.asarray(old.dataobj.get_unscaled())
    affine = np.vstack([EDGE * old.affine[:3], old.affine[3:]])
    path.write_bytes(nifti_bytes(stored, affine, old.dataobj.slope, old.dataobj.inter))


def sites_in_tumours(folder: Path) -> list[list[str]]:
    """Rows of the biopsy table: of each tumour four voxels that lie apart."""
    rng, table = np.random.default_rng(5), []
    for who in sorted(path.name for path in folder.glob("sub-*")):
        tumour: Any = nib.load(folder / who / "tumor.nii.gz")
        voxels = rng.permutation(np.argwhere(np.asarray(tumour.dataobj)))
        chosen: list[np.ndarray] = []
        for voxel in voxels:
            if len(chosen) < 4 and all(np.abs(voxel - other).max() >= 3 for other in chosen):
                chosen.append(voxel)
        for at in nib.affines.apply_affine(tumour.affine, np.array(chosen)):
            number = len(table) + 1
            table.append([f"bx-{number:03d}", who, "ses-1", *(f"{value:.4f}" for value in at)])
    return table


def image(folder: Path, sequence: str = "T1", who: str = "sub-002", session: str = "ses-1") -> Path:
    return folder / who / session / f"{sequence}.nii.gz"


def rewrite(
    path: Path,
    voxels: Callable[[np.ndarray], np.ndarray] = lambda data: data,
    affine: Callable[[np.ndarray], np.ndarray] = lambda matrix: matrix,
) -> None:
    """Write an image anew, as float32, sform and qform alike."""
    old: Any = nib.load(path)
    data = voxels(old.get_fdata(dtype=np.float32)).astype(np.float32)
    save(path, data, affine(old.affine))


def save(path: Path, data: np.ndarray, sform: np.ndarray, qform: np.ndarray | None = None) -> None:
    new: Any = nib.Nifti1Image(data, sform)
    new.set_sform(sform, 1)
    new.set_qform(sform if qform is None else qform, 1)
    nib.save(new, path)


def in_voxels(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """A fault of one image's voxels."""
    return lambda folder: rewrite(image(folder), change)


def moved(mm: float) -> Callable[[np.ndarray], np.ndarray]:
    shift = np.zeros((4, 4))
    shift[:3, 3] = mm
    return lambda affine: affine + shift


# Tables.


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def write_rows(path: Path, table: Sequence[Sequence[object]]) -> None:
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in table))


def expression(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """A fault of the expression table; called with the values, shape (biopsies, genes)."""

    def plant(folder: Path) -> None:
        head, *body = rows(folder / "expression.tsv")
        values = change(np.array([row[1:] for row in body], dtype=float))
        cells = np.where(np.isnan(values), "n/a", values.astype(str))
        named = ([row[0], *line] for row, line in zip(body, cells, strict=True))
        write_rows(folder / "expression.tsv", [head, *named])

    return plant


def sites(change: Callable[[np.ndarray, np.ndarray], np.ndarray], toml: str = "") -> Callable[[Path], None]:
    """A fault of coordinates: called with x, y, z in mm and the affine of their participant.

    `toml` takes the place of the lines of [coordinates].
    """

    def plant(folder: Path) -> None:
        head, *body = rows(folder / "biopsies.tsv")
        for row in body:
            affine: Any = nib.load(image(folder, who=row[1])).affine  # type: ignore[attr-defined]
            row[3:] = [f"{value:.4f}" for value in change(np.array(row[3:], dtype=float), affine)]
        write_rows(folder / "biopsies.tsv", [head, *body])
        if toml:
            replace(folder / "cohort.toml", 'space = "world"\nconvention = "RAS"\n', toml)

    return plant


def site(place: Callable[[Path, np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """A fault of one biopsy of sub-002: called with the folder and its voxel; gives another voxel."""

    def plant(folder: Path) -> None:
        table = rows(folder / "biopsies.tsv")
        row = next(row for row in table if row[1] == "sub-002")
        affine: Any = nib.load(image(folder)).affine  # type: ignore[attr-defined]
        voxel = to_voxels(np.array(row[3:], dtype=float), affine)
        row[3:] = [f"{value:.4f}" for value in nib.affines.apply_affine(affine, place(folder, voxel))]
        write_rows(folder / "biopsies.tsv", table)

    return plant


def to_voxels(position: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return np.asarray(nib.affines.apply_affine(np.linalg.inv(affine), position))


def to_voxels_and_a_bit(position: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return np.round(to_voxels(position, affine)) + 0.3


def other_side(folder: Path, voxel: np.ndarray) -> np.ndarray:
    """The voxel of the brain farthest from the tumour."""
    brain, tumour = (
        np.asarray(nib.load(folder / "sub-002" / f"{name}.nii.gz").dataobj) != 0  # type: ignore[attr-defined]
        for name in ("mask", "tumor")
    )
    apart = np.where(binary_erosion(brain, iterations=2), distance_transform_edt(~tumour), 0)
    return np.array(np.unravel_index(apart.argmax(), apart.shape), dtype=float)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# Files.


def reverse_images(folder: Path) -> None:
    """A participant's images, not their affines, with left and right exchanged; masks too."""
    for path in (folder / "sub-002").rglob("*.nii.gz"):
        rewrite(path, lambda data: data[::-1])


def unplaced(folder: Path) -> None:
    old: Any = nib.load(image(folder))
    new: Any = nib.Nifti1Image(old.get_fdata(dtype=np.float32), old.affine)
    new.set_sform(None, 0)
    new.set_qform(None, 0)
    nib.save(new, image(folder))


def from_one(folder: Path) -> None:
    """Voxels counted from 1; one site lies on the last slice, which shows it."""
    sites(lambda at, affine: np.round(to_voxels(at, affine)) + 1, VOXELS)(folder)
    table = rows(folder / "biopsies.tsv")
    table[1][5] = str(SPEC.size)
    write_rows(folder / "biopsies.tsv", table)


def forms_apart(folder: Path) -> None:
    old: Any = nib.load(image(folder))
    save(image(folder), old.get_fdata(dtype=np.float32), old.affine, moved(9)(old.affine))


def anothers_image(folder: Path) -> None:
    """The voxels alone: grids differ."""
    other: Any = nib.load(image(folder, who="sub-001"))
    rewrite(image(folder), lambda _: other.get_fdata(dtype=np.float32))


def without_images(folder: Path) -> None:
    shutil.rmtree(folder / "sub-003" / "ses-1")


def without_biopsies(folder: Path) -> None:
    gone = {row[0] for row in rows(folder / "biopsies.tsv") if row[1] == "sub-003"}
    for name in ("biopsies", "expression"):
        table = rows(folder / f"{name}.tsv")
        write_rows(folder / f"{name}.tsv", [row for row in table if row[0] not in gone])


def same_place(folder: Path) -> None:
    table = rows(folder / "biopsies.tsv")
    one, other = [row for row in table if row[1] == "sub-002"][:2]
    other[3:] = one[3:]
    write_rows(folder / "biopsies.tsv", table)


def same_id(folder: Path) -> None:
    table = rows(folder / "biopsies.tsv")
    table[3][0] = table[2][0]
    write_rows(folder / "biopsies.tsv", table)


def second_id(folder: Path) -> None:
    """One biopsy of sub-002 is said to be of sub-2, who has the same kind of images."""
    shutil.copytree(folder / "sub-002", folder / "sub-2")
    for path in (folder / "sub-2").rglob("*.nii.gz"):
        path.unlink()
    for path in (folder / "sub-003").rglob("*.nii.gz"):
        shutil.move(path, folder / "sub-2" / path.relative_to(folder / "sub-003"))
    shutil.rmtree(folder / "sub-003")
    for name in ("biopsies", "participants"):
        replace(folder / f"{name}.tsv", "sub-003", "sub-2")


def by_image_corner(folder: Path) -> None:
    """The world's origin far from the heads, and one participant's sites in LPS; no mask of the tumour."""
    for path in folder.rglob("*.nii.gz"):
        rewrite(path, affine=moved(90))
    replace(folder / "cohort.toml", 'tumor = "{participant_id}/tumor.nii.gz"\n', "")
    table = rows(folder / "biopsies.tsv")
    for row in table[1:]:
        sign = np.array([-1, -1, 1]) if row[1] == "sub-002" else 1
        row[3:] = [f"{value:.4f}" for value in (np.array(row[3:], dtype=float) + 90) * sign]
    write_rows(folder / "biopsies.tsv", table)


def nearly_same_place(folder: Path) -> None:
    table = rows(folder / "biopsies.tsv")
    table[2][3:] = [f"{float(value) + 1:.4f}" for value in table[1][3:]]
    write_rows(folder / "biopsies.tsv", table)


def strange_ids(folder: Path) -> None:
    head, *body = rows(folder / "expression.tsv")
    write_rows(folder / "expression.tsv", [head, *([f"tissue {row[0]}x", *row[1:]] for row in body)])


def shared_images(folder: Path) -> None:
    replace(folder / "cohort.toml", 'images = "{participant_id}/', 'images = "sub-001/')


def no_number(folder: Path) -> None:
    table = rows(folder / "biopsies.tsv")
    table[1][4] = "12,5"
    write_rows(folder / "biopsies.tsv", table)


def set_row(row: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[row] = value
        return values

    return change


def one_negative(values: np.ndarray) -> np.ndarray:
    values[2, 1] = -values[2, 1]
    return values


def twice(values: np.ndarray) -> np.ndarray:
    values[7] = values[2]
    return values


VOXELS = 'space = "voxel"\n'

FAULTS = (
    Fault("truncated file", "file-truncated", lambda folder: cut(image(folder))),
    Fault("empty file", "file-empty", lambda folder: image(folder).write_bytes(b"")),
    Fault(
        "garbage file", "file-unreadable", lambda folder: image(folder).write_bytes(b"\x1f\x8b" + bytes(999))
    ),
    Fault("a table named as image", "file-unreadable", lambda folder: image(folder).write_text("x\ty\n")),
    Fault("wrong checksum", "file-damaged", lambda folder: flip_a_bit(image(folder))),
    Fault("grid differs", "grid-differs", in_voxels(lambda data: data[:, :, 2:])),
    Fault("affine shifted", "grid-differs", lambda folder: rewrite(image(folder), affine=moved(12))),
    Fault(
        "mask grid differs",
        "mask-grid-differs",
        lambda folder: rewrite(folder / "sub-002/tumor.nii.gz", affine=moved(3)),
    ),
    Fault("qform against sform", "qform-sform", forms_apart),
    Fault("image mirrored", "image-mirrored", in_voxels(lambda data: data[::-1])),
    Fault("participant mirrored", "left-right-flip", reverse_images),
    Fault("LPS declared as RAS", "coordinates-mixed-up", sites(lambda at, _: at * (-1, -1, 1)), "LPS"),
    Fault("voxels declared as world", "coordinates-mixed-up", sites(to_voxels), "voxel indices, 16 do"),
    Fault(
        "world declared as voxels",
        "coordinates-mixed-up",
        sites(lambda at, _: at, VOXELS),
        "millimetres in RAS",
    ),
    Fault("columns turned", "coordinates-mixed-up", sites(lambda at, _: at[[1, 2, 0]]), "y, z, x"),
    Fault("LPS in one participant", "coordinates-mixed-up", by_image_corner, "sub-002"),
    Fault("x and y exchanged", "coordinates-mixed-up", sites(lambda at, _: at[[1, 0, 2]]), "y, x, z"),
    Fault("voxels counted from 1", "counted-from-one", from_one, "count from 1"),
    Fault("no place in the world", "grid-unplaced", unplaced),
    Fault(
        "site outside the image",
        "site-outside-image",
        site(lambda _, at: at + np.array([60, 0, 0])),
        "bx-005",
    ),
    Fault(
        "site outside the brain", "site-outside-brain", site(lambda *_: np.array([1.0, 1.0, 30.0])), "bx-005"
    ),
    Fault("site far from the tumour", "site-outside-tumor", site(other_side), "bx-005"),
    Fault("voxels with fractions", "fractional-voxels", sites(to_voxels_and_a_bit, VOXELS), "bx-001", True),
    Fault("full mask", "mask-full", lambda folder: rewrite(folder / "sub-002/mask.nii.gz", np.ones_like)),
    Fault("empty mask", "mask-empty", lambda folder: rewrite(folder / "sub-002/tumor.nii.gz", np.zeros_like)),
    Fault("constant", "constant", in_voxels(lambda data: np.full_like(data, 7)), "7"),
    Fault("all zero", "all-zero", in_voxels(np.zeros_like)),
    Fault("NaN", "not-finite", in_voxels(lambda data: np.where(data > np.median(data), data, np.nan)), "NaN"),
    Fault("clipped", "clipped", in_voxels(lambda data: np.minimum(data, np.percentile(data, 98)))),
    Fault(
        "clipped from below", "clipped", in_voxels(lambda data: np.maximum(data, np.median(data))), "least"
    ),
    Fault("negative", "negative", in_voxels(lambda data: data - 2 * np.median(data)), "negative"),
    Fault("normalised", "normalised", in_voxels(lambda data: (data - data.mean()) / data.std())),
    Fault("another unit", "scale-differs", in_voxels(lambda data: data / 1000), "times less"),
    Fault(
        "sequence copied",
        "sequence-copied",
        lambda folder: shutil.copyfile(image(folder), image(folder, "T2")),
    ),
    Fault("sequence of another", "participant-copied", anothers_image, "sub-001"),
    Fault(
        "repeat is the first scan",
        "repeat-copied",
        lambda folder: shutil.copyfile(
            image(folder, who="sub-001"), image(folder, who="sub-001", session="ses-2")
        ),
        "sub-001/ses-2",
    ),
    Fault("images shared", "file-shared", shared_images, "sub-004"),
    Fault("two biopsies at one place", "duplicate-biopsy", same_place, "bx-006"),
    Fault("two biopsies in one voxel", "biopsies-close", nearly_same_place, "bx-002", is_note=True),
    Fault("one id twice", "duplicate-id", same_id, "bx-002"),
    Fault("no number", "not-a-number", no_number, "12,5"),
    Fault("ids alike", "ids-alike", second_id, "sub-2"),
    Fault("participant without biopsies", "participant-without-biopsies", without_biopsies, "sub-003"),
    Fault("biopsies without images", "no-image", without_images, "sub-003"),
    Fault("negative TPM", "expression-negative", expression(one_negative), "column CD3E"),
    Fault("silent sample", "sample-silent", expression(set_row(3, 0.0)), "bx-004"),
    Fault("silent gene", "gene-silent", expression(lambda values: values * (1, 0, 1, 1)), "CD3E"),
    Fault("logarithms", "expression-logged", expression(lambda values: np.log2(values + 1)), "logged"),
    Fault("counts", "expression-counts", expression(lambda values: np.round(values * 1e5)), "sum"),
    Fault(
        "whole numbers", "expression-counts", expression(lambda values: np.round(values * 20)), "whole", True
    ),
    Fault(
        "gene without values", "gene-missing", expression(lambda values: values * (1, np.nan, 1, 1)), "CD3E"
    ),
    Fault(
        "constant gene",
        "gene-constant",
        expression(lambda values: np.maximum(values * (1, 0, 1, 1), 2.5 * np.array([0, 1, 0, 0]))),
        "CD3E",
    ),
    Fault("expression of others", "expression-unmatched", strange_ids, "tissue"),
    Fault(
        "no expression at all", "expression-missing", expression(lambda values: values * np.nan), "every cell"
    ),
    Fault("sample copied", "sample-copied", expression(twice), "bx-003, bx-008"),
)
