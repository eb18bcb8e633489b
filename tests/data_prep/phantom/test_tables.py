from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from data_prep.phantom.tables import GENES, Participant, expression_tpm


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as table:
        return list(csv.DictReader(table, delimiter="\t"))


def test_every_biopsy_has_a_place_an_expression_and_a_truth(phantom: Any) -> None:
    ids = [
        [row["biopsy_id"] for row in rows(phantom.folder / name)]
        for name in ("biopsies.tsv", "expression.tsv", "truth/true_sites.tsv")
    ]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == phantom.spec.biopsies
    people = [row["participant_id"] for row in rows(phantom.folder / "biopsies.tsv")]
    assert len(set(people)) == phantom.spec.participants


def test_true_sites_lie_in_the_tumour_and_recorded_ones_on_the_grid(phantom: Any) -> None:
    for biopsy, true in zip(
        rows(phantom.folder / "biopsies.tsv"), rows(phantom.folder / "truth/true_sites.tsv"), strict=True
    ):
        tumour = nibabel.load(phantom.folder / biopsy["participant_id"] / "tumor.nii.gz")
        to_voxel = np.linalg.inv(tumour.affine)
        place, recorded = (
            nibabel.affines.apply_affine(to_voxel, [float(row[axis]) for axis in "xyz"])
            for row in (true, biopsy)
        )
        assert tumour.get_fdata()[tuple(np.rint(place).astype(int))] == 1
        assert ((recorded >= 2) & (recorded <= 21)).all()


def test_positive_biopsies_are_those_above_the_cut(phantom: Any) -> None:
    tpm = np.array([float(row["CD3D"]) for row in rows(phantom.folder / "expression.tsv")])
    g = np.array([float(row["g"]) for row in rows(phantom.folder / "truth/true_sites.tsv")])
    np.testing.assert_allclose(tpm, 1.03 * np.exp(g), rtol=1e-4, atol=2e-6)
    assert (tpm > 1.03).sum() == phantom.truth["positives"]


def test_genes_correlate_as_stated() -> None:
    g, *others = np.random.default_rng(0).standard_normal((4, 20000))
    person = Participant(None, None, None, g, np.stack(others, axis=1), None)  # type: ignore[arg-type]
    log = np.log(expression_tpm(person))
    assert np.corrcoef(log.T)[0] == pytest.approx([share for _, share in GENES.values()], abs=0.02)
    assert np.exp(np.median(log, axis=0)) == pytest.approx([median for median, _ in GENES.values()], rel=0.03)


def test_the_cohort_file_declares_masks_and_repeats(phantom: Any) -> None:
    cohort = tomllib.loads((phantom.folder / "cohort.toml").read_text())
    assert cohort["coordinates"] == {"space": "world", "convention": "RAS"}
    assert cohort["masks"]["brain"] == "{participant_id}/mask.nii.gz"
    assert cohort["repeats"]["images"] == "{participant_id}/ses-2/{sequence}.nii.gz"
    scanners = [row["scanner_ses-2"] for row in rows(phantom.folder / "participants.tsv")]
    assert [name == "n/a" for name in scanners] == [False] * 3 + [True] * 3
