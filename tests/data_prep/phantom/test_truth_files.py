from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from data_prep.phantom.truth_files import read_answers, read_field, read_true_sites
from data_prep.problems import InputError
from tests.data_prep.phantom.conftest import Written


@pytest.fixture
def folder(phantom: Written, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom.folder / "truth", tmp_path / "truth"))


def test_what_was_written_is_read(phantom: Written, folder: Path) -> None:
    spec, hashes = read_answers(folder)
    assert spec == phantom.spec
    assert hashes == phantom.truth["hashes"] | {}
    sites = read_true_sites(folder, spec.biopsies)
    assert sites.biopsy_id == tuple(f"bx-{number:03d}" for number in range(1, 25))
    assert sites.world.shape == (24, 3)
    field, grid = read_field(folder, "sub-003", hashes)
    file = nib.load(folder / "fields/sub-003.nii.gz")
    np.testing.assert_array_equal(grid.to_stored(field), file.get_fdata().astype(np.float32))


def test_the_driver_at_the_true_sites_is_that_of_the_field(phantom: Written, folder: Path) -> None:
    """To half a voxel of an image whose field bends over 6 mm."""
    spec, hashes = read_answers(folder)
    sites = read_true_sites(folder, spec.biopsies)
    field, grid = read_field(folder, "sub-001", hashes)
    mine = [
        line.split("\t")[1] == "sub-001"
        for line in (phantom.folder / "biopsies.tsv").read_text().split("\n")[1:-1]
    ]
    inverse = np.linalg.inv(grid.canonical_affine)
    voxels = np.rint(sites.world[mine] @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    np.testing.assert_allclose(field[tuple(voxels.T)], sites.driver[mine], atol=0.4)


def changed(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda answers: answers.__setitem__(key, value)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda answers: answers["spec"].pop("kind"), "its spec has other options"),
        (lambda answers: answers["spec"].update(size=7), "size"),
        (lambda answers: answers["spec"].update(participants="many"), "participants"),
        (lambda answers: answers["spec"].update(colour="red"), "its spec has other options"),
        (changed("spec", 3), "AttributeError"),
        (changed("hashes", {"a": 1}), "its hashes are not text"),
        (lambda answers: answers.pop("hashes"), "KeyError"),
    ],
)
def test_answers_that_are_none_are_refused_in_one_line(
    folder: Path, spoil: Callable[[dict[str, Any]], object], told: str
) -> None:
    answers = json.loads((folder / "answers.json").read_text())
    spoil(answers)
    (folder / "answers.json").write_text(json.dumps(answers))
    with pytest.raises(InputError, match=told) as refused:
        read_answers(folder)
    assert len(refused.value.problems) == 1
    assert "the answers of a phantom of this version are needed" in str(refused.value)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 10_000, "\x00"])
def test_what_is_no_json_of_a_phantom_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "answers.json").write_text(content)
    with pytest.raises(InputError, match="answers of a phantom of this version are needed"):
        read_answers(tmp_path)


def test_a_folder_that_is_no_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is this the truth of one"):
        read_answers(tmp_path / "cohort")


def test_all_problems_of_the_sites_are_told(folder: Path) -> None:
    lines = (folder / "true_sites.tsv").read_text().splitlines()
    lines[1] = lines[1].replace(lines[1].split("\t")[1], "near")
    lines[2] = lines[2].replace(lines[2].split("\t")[4], "nan")
    (folder / "true_sites.tsv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError) as refused:
        read_true_sites(folder, 24)
    told = refused.value.problems
    assert len(told) == 3
    assert "row 2: a number is needed, but got 'near'" in told[0]
    assert "row 3: a number is needed, but got 'nan'" in told[1]
    assert "a row for each of the phantom's 24 biopsies is needed, but got 23" in told[2]


def test_a_field_that_is_another_or_cut_short_is_refused(folder: Path) -> None:
    _, hashes = read_answers(folder)
    path = folder / "fields/sub-001.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"sub-001.nii.gz: the field must be the one that was written"):
        read_field(folder, "sub-001", hashes)
