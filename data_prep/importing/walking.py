"""What lies in a source folder, looked at without opening more than a few bytes of it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from data_prep.cohort_file import IMAGE_SUFFIXES
from data_prep.importing.records import LeftOut
from data_prep.places import is_plain_name
from data_prep.plain_files import is_plain
from data_prep.problems import InputError

_DICOM_SUFFIXES = frozenset({".dcm", ".ima", ".dicom"})
_OTHERS = frozenset(
    (
        *(
            ".json",
            ".txt",
            ".csv",
            ".tsv",
            ".xlsx",
            ".xlsm",
            ".xls",
            ".bval",
            ".bvec",
            ".md",
            ".pdf",
            ".html",
        ),
        *(".png", ".jpg", ".jpeg", ".svg", ".mat", ".xml", ".log", ".gz", ".zip", ".tar", ".py", ".m", ".sh"),
        *(".mgz", ".nrrd", ".mha", ".mhd", ".raw", ".hdr", ".img", ".h5", ".npy", ".npz", ".docx", ".pptx"),
    )
)
_LOOKED_AT = 50  # files without a telling name whose first bytes are read

DESCRIPTION = "dataset_description.json"
"""The file that makes a folder a BIDS dataset."""

# Of a BIDS dataset, where they hold what is no image of it.
_PASSED_BY = frozenset({"code", "sourcedata", "stimuli"})


@dataclass(frozen=True)
class Walk:
    """The images below a folder.

    Attributes:
        images: NIfTI files by their path in the folder with forward slashes, sorted.
        left_out: Links to folders, and files whose names cannot become paths of a cohort.
    """

    images: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def walk(source: Path) -> Walk:
    """List the NIfTI files of a folder; hidden folders are passed by, links to folders are not followed.

    Raises:
        InputError: It is no folder, or holds no NIfTI file; where it holds DICOM, the line says how to go on.
    """
    if not source.is_dir():
        raise InputError(f"{source}: a folder is needed, but there is none.")
    images, left_out, others, dicom = [], [], 0, 0
    for folder, folders, names in os.walk(source):
        here = Path(folder).relative_to(source)
        folders.sort()
        left_out += [
            LeftOut((here / name).as_posix(), "a link to a folder, which is not followed")
            for name in folders
            if (Path(folder) / name).is_symlink()
        ]
        passed_by = _PASSED_BY if DESCRIPTION in names else frozenset()
        folders[:] = [name for name in folders if not name.startswith(".") and name not in passed_by]
        for name in sorted(names):
            if name.startswith("."):
                continue
            label = (here / name).as_posix()
            if not name.lower().endswith(IMAGE_SUFFIXES):
                others += Path(name).suffix.lower() not in _OTHERS
                dicom += _is_dicom(Path(folder) / name, others)
            elif not all(map(is_plain_name, label.split("/"))) or not is_plain(Path(folder) / name):
                left_out.append(LeftOut(label, "no plain file with a plain name"))
            else:
                images.append(label)
    if not images:
        raise InputError(_nothing(source, dicom))
    if dicom:
        left_out.append(LeftOut("DICOM files", "only NIfTI is read; convert them with dcm2niix"))
    return Walk(tuple(sorted(images)), tuple(left_out))


def _is_dicom(path: Path, looked_at: int) -> bool:
    """Whether a file is DICOM by its name, or by its magic as long as not too many were opened."""
    if path.suffix.lower() in _DICOM_SUFFIXES or path.name == "DICOMDIR":
        return True
    if looked_at > _LOOKED_AT or path.suffix.lower() in _OTHERS or not is_plain(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _nothing(source: Path, dicom: int) -> str:
    if not dicom:
        return f"{source}: NIfTI files (.nii or .nii.gz) are needed, but there is none."
    folder = source.resolve()
    new = shlex.quote(str(folder.with_name(f"{folder.name}-nifti")))
    return (
        f"{source}: NIfTI files are needed, but it holds DICOM. Convert it with dcm2niix, then import the "
        f"new folder: mkdir -p {new} && dcm2niix -z y -d 9 -f %i_%t_%p -o {new} {shlex.quote(str(folder))}"
    )
