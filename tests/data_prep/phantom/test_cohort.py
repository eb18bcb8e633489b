from __future__ import annotations

import csv
import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from data_prep.cohort import read_cohort
from data_prep.patch_set import PatchRequest
from data_prep.patches import extract_patches
from data_prep.phantom import KINDS, SEQUENCES, PhantomSpec, write_phantom
from data_prep.phantom.lattice import lattice_of
from data_prep.phantom.placing import draw_affine, stored_grid
from data_prep.problems import InputError

SMALL = PhantomSpec(participants=2, biopsies=4, size=24, seed=5)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_phantom_is_a_cohort(phantom: Any) -> None:
    cohort = read_cohort(phantom.folder)
    assert cohort.sequences == SEQUENCES
    assert len(cohort.participants) == phantom.spec.participants
    assert len(cohort.biopsies) == phantom.spec.biopsies
    assert cohort.expression is not None
    assert cohort.expression.tpm(cohort.biopsies[0].biopsy_id, "CD3D") > 0


def test_missing_files_are_those_that_the_truth_counts(phantom: Any) -> None:
    images = list(phantom.folder.glob("sub-*/ses-1/*.nii.gz"))
    assert len(images) == 9 * phantom.spec.participants - phantom.truth["missing_files"]
    assert phantom.truth["missing_files"] > 0


def test_repeats_have_the_same_sequences_and_other_images(phantom: Any) -> None:
    repeated = sorted(path.parent.name for path in phantom.folder.glob("sub-*/ses-2"))
    assert repeated == ["sub-001", "sub-002", "sub-003"]
    for name in repeated:
        first, second = (contents(phantom.folder / name / session) for session in ("ses-1", "ses-2"))
        assert first.keys() == second.keys()
        assert not set(first.values()) & set(second.values())


def test_images_are_scaled_int16_on_an_oblique_grid(phantom: Any) -> None:
    path = next(phantom.folder.glob("sub-001/ses-1/*.nii.gz"))
    image = nibabel.load(path)
    assert image.shape == (24, 24, 24)
    assert image.get_data_dtype() == np.int16
    assert image.dataobj.slope != 1
    assert image.dataobj.inter != 0
    assert nibabel.affines.voxel_sizes(image.affine) == pytest.approx([1, 1, 1], abs=1e-5)
    tilt = np.abs(image.affine[:3, :3] - np.eye(3)).max()
    assert 0.03 < tilt < 0.25
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")


def test_masks_and_fields_share_the_grid_of_the_images(phantom: Any) -> None:
    for name in ("sub-001/mask.nii.gz", "sub-001/tumor.nii.gz", "truth/fields/sub-001.nii.gz"):
        image = nibabel.load(phantom.folder / name)
        np.testing.assert_allclose(image.affine, draw_affine(phantom.spec, 0), atol=1e-5)
    brain, tumour = (
        nibabel.load(phantom.folder / f"sub-001/{name}.nii.gz").get_fdata() for name in ("mask", "tumor")
    )
    assert (brain[tumour > 0] == 1).mean() > 0.99
    assert 0.1 < brain.mean() < 0.5


def test_the_truth_holds_the_hash_of_every_file(phantom: Any) -> None:
    files = contents(phantom.folder)
    assert json.loads(files.pop("truth/answers.json")) == phantom.truth
    assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == phantom.truth[
        "hashes"
    ]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    write_phantom(tmp_path / "a", SMALL)
    write_phantom(tmp_path / "b", SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_seed_means_what_it_meant_before_there_were_other_kinds(phantom: Any) -> None:
    """The digest was taken of the files that were written then, before compression, less what came since."""
    total = hashlib.sha256()
    for name, content in sorted(contents(phantom.folder).items()):
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        if name == "truth/answers.json":
            plain = json.dumps(as_it_was(json.loads(content))).encode()
        if name == "cohort.toml":
            plain = b"".join(line for line in plain.splitlines(keepends=True) if b"quantitative" not in line)
        total.update(name.encode() + plain)
    assert total.hexdigest() == "3001004104b871f48ca823bb35ac2494f39620fe834fb46ea88fba247da4013c"


def as_it_was(document: dict[str, Any]) -> dict[str, Any]:
    """The truth without what it did not yet tell."""
    for key in ("hashes", "scanners", "icc_same_scanner", "icc_new_scanner"):
        del document[key]
    options = ("participants", "biopsies", "signal", "kind", "size", "missing", "repeats", "seed")
    document["spec"] = {key: document["spec"][key] for key in options}
    for key in ("voxel", "registration_sd"):
        del document["model"][key]
    return document


OPTIONS: dict[str, dict[str, Any]] = {
    "voxel": {"voxel": (0.5, 1.0, 5.0)},
    "grids": {"grids": "mixed"},
    "oblique": {"oblique": 18.0},
    "orientation": {"orientation": "mixed"},
    "missing_by": {"missing_by": "scanner"},
    "scanner_shift": {"scanner_shift": 3.0},
    "registration_error": {"registration_error": 1.5},
    "site_error": {"site_error": 0.5},
    "confounding": {"confounding": 1.0},
    "texture": {"kind": "texture", "voxel": (1.0, 1.0, 4.0), "site_error": 1.0},
    "interaction": {"kind": "interaction", "voxel": (2.0, 2.0, 2.0), "orientation": "mixed"},
    "all": {
        "voxel": (1.0, 1.0, 3.0),
        "orientation": "mixed",
        "oblique": 12.0,
        "missing_by": "scanner",
        "scanner_shift": 2.0,
        "registration_error": 1.0,
        "confounding": 0.5,
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_writes_a_cohort(tmp_path: Path, options: dict[str, Any]) -> None:
    spec = replace(SMALL, repeats=1, missing=0.0, **options)
    truth = write_phantom(tmp_path / "out", spec)
    cohort = read_cohort(tmp_path / "out")
    assert (len(cohort.participants), len(cohort.biopsies)) == (2, 4)
    assert 0.5 < truth["auc_bayes"] < 1
    for name in ("T1Gd", "FLAIR"):
        grid = stored_grid(spec, 0, name)
        image = nibabel.load(tmp_path / f"out/sub-001/ses-1/{name}.nii.gz")
        stored, affine = grid.stored(np.empty(lattice_of(spec, name).shape))
        assert image.shape == stored.shape
        np.testing.assert_allclose(image.affine, affine, atol=1e-4)


def test_how_files_are_stored_changes_neither_patch_nor_ceiling(tmp_path: Path) -> None:
    spec = replace(SMALL, voxel=(1.0, 1.0, 2.0), missing=0.0, seed=7)
    truths = [write_phantom(tmp_path / order, replace(spec, orientation=order)) for order in ("ras", "mixed")]
    differing = {key for key in truths[0] if truths[0][key] != truths[1][key]}
    assert differing == {"spec", "hashes"}
    for name in ("sub-001", "sub-002"):
        images = [nibabel.load(tmp_path / order / f"{name}/ses-1/MD.nii.gz") for order in ("ras", "mixed")]
        assert nibabel.aff2axcodes(images[0].affine) != nibabel.aff2axcodes(images[1].affine)
        plain, turned = (nibabel.as_closest_canonical(image) for image in images)
        np.testing.assert_array_equal(plain.get_fdata(), turned.get_fdata())
        np.testing.assert_allclose(plain.affine, turned.affine, atol=1e-5)
    request = PatchRequest(("MD", "T1Gd"), 3)
    cohorts = [read_cohort(tmp_path / order) for order in ("ras", "mixed")]
    patches = [extract_patches(cohort, request).raw for cohort in cohorts]
    np.testing.assert_array_equal(*patches)


def test_grids_of_their_own_must_be_resampled(tmp_path: Path) -> None:
    write_phantom(tmp_path / "out", replace(SMALL, grids="mixed", missing=0.0))
    cohort = read_cohort(tmp_path / "out")
    with pytest.raises(InputError, match="FLAIR"):
        extract_patches(cohort, PatchRequest(("T1Gd", "FLAIR"), 3))
    found = extract_patches(cohort, PatchRequest(("T1Gd", "FLAIR"), 3, resample_to="T1Gd"))
    assert found.raw.shape == (4, 7, 7, 2)
    assert np.isfinite(found.raw).all()


def test_sites_do_not_depend_on_the_grid(tmp_path: Path) -> None:
    tables = []
    for name, options in {
        "points": {},
        "boxes": {"voxel": (2.0, 2.0, 4.0)},
        "mixed": {"grids": "mixed"},
    }.items():
        write_phantom(tmp_path / name, replace(SMALL, **options))  # type: ignore[arg-type]
        tables.append(
            [(tmp_path / name / table).read_bytes() for table in ("biopsies.tsv", "expression.tsv")]
        )
    assert tables[0] == tables[1] == tables[2]


def test_a_scanner_without_diffusion_has_no_diffusion_files(tmp_path: Path) -> None:
    spec = PhantomSpec(participants=8, biopsies=8, size=24, missing=0.0, repeats=8, missing_by="scanner")
    truth = write_phantom(tmp_path / "out", spec)
    lacking = {"scanner-a": 0, "scanner-b": 0, "scanner-c": 0}
    with (tmp_path / "out/participants.tsv").open() as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    first = {row["participant_id"]: row["scanner"] for row in rows}
    for row in rows:
        there = {path.name for path in (tmp_path / "out" / row["participant_id"] / "ses-1").iterdir()}
        assert ("MD.nii.gz" in there) == (row["scanner"] != "scanner-c")
        lacking[row["scanner"]] += 1
        again = {path.name for path in (tmp_path / "out" / row["participant_id"] / "ses-2").iterdir()}
        assert again == there - ({"FA.nii.gz", "MD.nii.gz"} if row["scanner_ses-2"] == "scanner-c" else set())
    shares = {name: scanner["share"] for name, scanner in truth["scanners"].items()}
    assert shares == pytest.approx({name: count / 8 for name, count in lacking.items()})
    assert truth["scanners"]["scanner-c"]["lacks"] == ["FA", "MD"]
    assert truth["missing_files"] == 2 * sum(name == "scanner-c" for name in first.values())


@pytest.mark.parametrize("kind", ["texture", "interaction"])
def test_other_kinds_have_the_same_files_and_sites(tmp_path: Path, phantom: Any, kind: str) -> None:
    spec = replace(phantom.spec, kind=kind, missing=0.0)
    plain, other = tmp_path / "gaussian", tmp_path / kind
    write_phantom(plain, replace(spec, kind="gaussian"))
    write_phantom(other, spec)
    assert contents(plain).keys() == contents(other).keys()
    for name in ("biopsies.tsv", "participants.tsv", "sub-001/mask.nii.gz", "sub-002/ses-2/T2.nii.gz"):
        assert (plain / name).read_bytes() == (other / name).read_bytes()
    assert read_cohort(other).sequences == SEQUENCES


@pytest.mark.parametrize("kind", KINDS)
def test_the_field_of_the_truth_is_what_is_expressed(tmp_path: Path, kind: str) -> None:
    write_phantom(tmp_path / kind, replace(SMALL, kind=kind))
    with (tmp_path / kind / "truth/true_sites.tsv").open() as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    with (tmp_path / kind / "biopsies.tsv").open() as table:
        people = [row["participant_id"] for row in csv.DictReader(table, delimiter="\t")]
    for row, name in zip(rows, people, strict=True):
        image = nibabel.load(tmp_path / kind / f"truth/fields/{name}.nii.gz")
        place = nibabel.affines.apply_affine(
            np.linalg.inv(image.affine), [float(row[axis]) for axis in "xyz"]
        )
        (read,) = ndimage.map_coordinates(image.get_fdata(), place[:, None], order=1)
        assert read == pytest.approx(float(row["field"]), abs=0.1)


def test_another_seed_gives_other_images_and_labels(tmp_path: Path, phantom: Any) -> None:
    write_phantom(tmp_path / "other", replace(phantom.spec, seed=2, participants=2, biopsies=8, repeats=0))
    other, these = contents(tmp_path / "other"), contents(phantom.folder)
    shared = other.keys() & these.keys()
    assert len(shared) > 20
    assert all(other[name] != these[name] for name in shared)


@pytest.mark.parametrize("kind", KINDS)
def test_the_null_changes_the_labels_and_no_image(tmp_path: Path, kind: str) -> None:
    signal, null = tmp_path / "signal", tmp_path / "null"
    write_phantom(signal, replace(SMALL, kind=kind))
    truth = write_phantom(null, replace(SMALL, kind=kind, signal="none"))
    differing = {name for name, content in contents(null).items() if contents(signal)[name] != content}
    assert differing == {"cohort.toml", "expression.tsv", "truth/answers.json", "truth/true_sites.tsv"}
    assert truth["auc_bayes"] == 0.5


def test_progress_is_told_for_each_participant(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_phantom(tmp_path / "out", SMALL, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
