"""`radsearch import` from a user's folders to patches."""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.patches import extract_patches
from data_prep.phantom import PhantomSpec, write_phantom
from data_prep.records import Cohort
from search import cli
from search.import_parser import add_import

# Where each sequence of the phantom lies in a BIDS dataset, and the rule that finds it.
BIDS = {
    "FA": ("derivatives/dti/{p}/{s}/dwi/{p}_{s}_model-tensor_param-fa_dwimap", "suffix:dwimap,param:FA"),
    "MD": ("derivatives/dti/{p}/{s}/dwi/{p}_{s}_model-tensor_param-md_dwimap", "suffix:dwimap,param:MD"),
    "EPI-C": ("derivatives/perf/{p}/{s}/perf/{p}_{s}_ce-gd_desc-mean_epi", "suffix:epi"),
    "FLAIR": ("{p}/{s}/anat/{p}_{s}_FLAIR", "suffix:FLAIR"),
    "rCBV": ("derivatives/perf/{p}/{s}/perf/{p}_{s}_desc-rCBV_perf", "suffix:perf,desc:rCBV"),
    "srCBV": ("derivatives/perf/{p}/{s}/perf/{p}_{s}_desc-srCBV_perf", "suffix:perf,desc:srCBV"),
    "T1": ("{p}/{s}/anat/{p}_{s}_T1w", "suffix:T1w,ce:none"),
    "T1Gd": ("{p}/{s}/anat/{p}_{s}_ce-gd_T1w", "suffix:T1w,ce:gd"),
    "T2": ("{p}/{s}/anat/{p}_{s}_T2w", "suffix:T2w"),
}
MASKS = {
    "mask": "derivatives/seg/{p}/{p}_desc-brain_mask",
    "tumor": "derivatives/seg/{p}/{p}_desc-tumor_mask",
}


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_import(parser.add_subparsers(dest="command"))
    return cli._run(parser.parse_args(["import", *map(str, arguments)]))


def listing(folder: Path) -> dict[str, bytes | None]:
    files = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in files}


def patches(cohort: Cohort, sequences: tuple[str, ...]) -> PatchSet:
    return extract_patches(cohort, PatchRequest(sequences, radius=2))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "phantom"
    write_phantom(out, PhantomSpec(participants=3, biopsies=6, size=24, repeats=1, missing=0.1))
    return out


@pytest.fixture(scope="module")
def bids(phantom: Path) -> Path:
    """The phantom as a BIDS dataset with derivatives."""
    root = phantom.parent / "bids"
    for path in phantom.glob("sub-*/**/*.nii.gz"):
        name = path.name.removesuffix(".nii.gz")
        participant = path.relative_to(phantom).parts[0]
        template = MASKS[name] if name in MASKS else BIDS[name][0]
        target = root / (template.format(p=participant, s=path.parent.name) + ".nii.gz")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "p", "BIDSVersion": "1.9.0"}))
    shutil.copyfile(phantom / "participants.tsv", root / "participants.tsv")
    return root


def test_a_phantom_through_bids_and_csv_gives_identical_patches(
    phantom: Path, bids: Path, tmp_path: Path
) -> None:
    rows = [line.split("\t") for line in (phantom / "biopsies.tsv").read_text().splitlines()]
    number = {name: place for place, name in enumerate(rows[0])}
    with (tmp_path / "sites.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Biopsy", "Patient", "X (mm, LPS)", "Y (mm, LPS)", "Z (mm, LPS)"])
        for row in rows[1:]:
            x, y, z = (row[number[axis]] for axis in "xyz")
            lps = [f"{-float(x):.4f}", f"{-float(y):.4f}", z]
            patient = str(int(row[number["participant_id"]].removeprefix("sub-")))
            writer.writerow([row[number["biopsy_id"]], patient, *(cell.replace(".", ",") for cell in lps)])
    before = listing(bids)
    rules = [word for name, (_, rule) in BIDS.items() for word in ("--sequence", f"{name}={rule}")]
    tables = ["--biopsies", tmp_path / "sites.csv", "--expression", phantom / "expression.tsv"]
    assert run(bids, "--out", tmp_path / "cohort", *tables, *rules, "--repeats", "ses-2") == 0
    assert listing(bids) == before
    original, imported = read_cohort(phantom), read_cohort(tmp_path / "cohort")
    present = {name for biopsy in original.biopsies for name in original.images(biopsy, original.sequences)}
    assert set(imported.sequences) == present
    made, expected = patches(imported, imported.sequences), patches(original, imported.sequences)
    assert (made.biopsy_id, made.participant_id) == (expected.biopsy_id, expected.participant_id)
    for part in ("raw", "padding", "present", "mean", "std"):
        np.testing.assert_array_equal(getattr(made, part), getattr(expected, part))
    assert all(set(imported.masks(biopsy)) == {"brain", "tumor"} for biopsy in imported.biopsies)
    assert imported.expression is not None
    assert original.expression is not None
    np.testing.assert_allclose(imported.expression.values, original.expression.values, rtol=1e-12)
    assert _second_scans(imported.root) == _second_scans(phantom) != set()
    assert (tmp_path / "cohort" / "participants.tsv").read_text() == (
        phantom / "participants.tsv"
    ).read_text()


def _second_scans(cohort: Path) -> set[Path]:
    return {path.relative_to(cohort) for path in cohort.glob("sub-*/ses-2/*.nii.gz")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain folder of two participants with dates, one voxel of each image brighter than all others."""
    for number, date in ((1, "20190301"), (2, "20200517")):
        for name in ("T1", "T2"):
            path = tmp_path / "scans" / f"P{number}" / date / f"{name}_reg.nii"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = np.zeros((6, 6, 6), np.int16)
            data[1, 2, 3] = 100 * number
            nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    (tmp_path / "sites.csv").write_text("Biopsy,Patient,x,y,z\nb1,P1,2,3,4\nb2,P2,2,3,4\nb3,P9,2,3,4\n")
    return tmp_path


def flags(folder: Path) -> list[object]:
    tables = ["--biopsies", folder / "sites.csv", "--space", "voxel", "--one-based"]
    return [folder / "scans", "--out", folder / "cohort", *tables]


def test_guessed_patterns_are_shown_and_nothing_is_written_unconfirmed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = listing(folder)
    assert run(*flags(folder)) == 1
    shown = capsys.readouterr()
    assert "Images: {participant_id}/{session}/{sequence}_reg (guessed from the names)" in shown.out
    assert (
        "  participant: 2 [files]: P1 (2), P2 (2)\n  session: 2 [files]: 20190301 (2), 20200517 (2)"
        in shown.out
    )
    assert "  sequence: 2 [files]: T1 (2), T2 (2)" in shown.out
    assert "participant 'P9' has no images (1): sites.csv: row 4 (b3)" in shown.out
    assert len(shown.err.splitlines()) == 1
    assert "--yes" in shown.err
    assert "--pattern" in shown.err
    assert listing(folder) == before


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_a_terminal_is_asked(
    folder: Path, answer: str, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    assert run(*flags(folder)) == code
    assert "Are these naming patterns right? [y/N]" in capsys.readouterr().out
    assert (folder / "cohort").exists() == (code == 0)


def test_one_based_sites_of_a_plain_folder_meet_their_voxel(folder: Path) -> None:
    assert run(*flags(folder), "--yes") == 0
    cohort = read_cohort(folder / "cohort")
    made = patches(cohort, cohort.sequences)
    assert made.biopsy_id == ("b1", "b2")
    np.testing.assert_array_equal(made.raw[:, 2, 2], [[100, 100], [200, 200]])


def test_a_pattern_that_is_told_needs_no_confirmation(folder: Path) -> None:
    told = ["--pattern", "{participant_id}/{date}/{sequence}_reg.nii", "--sequence", "T1Gd=T1"]
    assert run(*flags(folder), *told) == 0
    assert read_cohort(folder / "cohort").sequences == ("T1Gd",)
    assert run(*flags(folder), *told) == 1


def test_a_dry_run_writes_nothing_and_is_what_is_done(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listing(folder)
    assert run(*flags(folder), "--dry-run") == 0
    assert listing(folder) == before
    lines = capsys.readouterr().out.splitlines()
    shown = lines[lines.index("Files:") + 1 : lines.index("cohort.toml:")]
    copies = dict(line.split(maxsplit=1)[1].split(" -> ") for line in shown if " -> " in line)
    texts = {line.split()[1]: int(line.split("(")[1].split()[0]) for line in shown if " -> " not in line}
    toml = "".join(line.removeprefix("  ") + "\n" for line in lines[lines.index("cohort.toml:") + 1 : -1])
    assert run(*flags(folder), "--yes") == 0
    written = {name: content for name, content in listing(folder / "cohort").items() if content is not None}
    assert set(written) == set(copies.values()) | set(texts)
    assert all(written[new] == (folder / "scans" / old).read_bytes() for old, new in copies.items())
    assert all(written[name].count(b"\n") == count for name, count in texts.items())
    assert written["cohort.toml"].decode() == toml


@pytest.mark.parametrize("rows", [("gene,b1,b2", "A,10,0", "B,20,4"), ("id,A,B", "b1,10,20", "b2,0,4")])
def test_expression_is_the_same_either_way_round(folder: Path, rows: tuple[str, ...]) -> None:
    """By hand: rates 10/2 and 20/4 are halves of a million; 0/2 and 4/4 none and all of it."""
    (folder / "e.csv").write_text("\n".join(rows) + "\n")
    (folder / "l.csv").write_text("gene,length\nA,2\nB,4\n")
    told = ["--expression", folder / "e.csv", "--gene-lengths", folder / "l.csv", "--yes"]
    assert run(*flags(folder), *told) == 0
    text = (folder / "cohort" / "expression.tsv").read_text()
    assert text == "biopsy_id\tA\tB\nb1\t500000\t500000\nb2\t0\t1000000\n"


def test_a_folder_of_dicom_is_one_line_with_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "IM1").write_bytes(bytes(128) + b"DICM")
    assert run(tmp_path / "raw", *flags(folder)[1:]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "dcm2niix -z y" in line


def test_a_read_only_source_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[..., object] = Path.open

    def guarded(path: Path, mode: str = "r", *rest: object, **named: object) -> object:
        assert not (path.is_relative_to(folder / "scans") and set(mode) & set("wax+"))
        return write(path, mode, *rest, **named)

    before = {path: path.stat().st_mtime_ns for path in (folder / "scans").rglob("*")}
    monkeypatch.setattr(Path, "open", guarded)
    assert run(*flags(folder), "--yes") == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "scans").rglob("*")} == before


def test_a_dry_run_fails_where_the_import_would(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "e.csv").write_text("gene,b3\nCD3D,1\n")
    (folder / "f.csv").write_text("gene,b1\nbiopsy_id,1\n")
    places = [folder / "scans", "--out", folder / "sites.csv" / "x", *flags(folder)[3:]]
    for told in (
        [*flags(folder), "--expression", folder / "e.csv"],
        [*flags(folder), "--expression", folder / "f.csv"],
        places,
    ):
        said = []
        for further in (["--dry-run"], ["--yes"]):
            assert run(*told, *further) == 1
            said.append(capsys.readouterr().err)
        assert said[0] == said[1] != ""
    assert not (folder / "cohort").exists()
