"""Biopsies on a map."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.patch_set import PatchRequest
from data_prep.windows import open_windows
from search.maps.marks import marks_of
from search.maps.scene import ABOVE, BELOW


def label(name: str, cut: float = 1.0) -> Any:
    return SimpleNamespace(name=name, cut=cut)


def test_marks_lie_where_the_biopsies_were_taken(cohort_folder: Path) -> None:
    table = cohort_folder / "biopsies.tsv"
    lines = table.read_text().splitlines()
    lines[1] = "b00\tsub-000\t1.25\t-2.5\t0.75"
    table.write_text("\n".join(lines) + "\n")
    cohort = read_cohort(cohort_folder)
    windows = open_windows(cohort, "sub-000", PatchRequest(("T1",), 1))[0]
    marks = marks_of(windows, cohort, [label("CD3D")])
    assert marks.names == ("b00", "b04")
    assert marks.places[0] == pytest.approx([7.25, 3.5, 6.75])  # world plus 6: not the voxel's centre
    world = windows.grid.canonical_affine @ [*marks.places[0], 1]
    assert world[:3] == pytest.approx([1.25, -2.5, 0.75])


def test_what_is_known_of_a_gene_is_told_by_the_models_cut(cohort_folder: Path) -> None:
    cohort = read_cohort(cohort_folder)
    windows = open_windows(cohort, "sub-001", PatchRequest(("T1",), 1))[0]
    assert cohort.expression is not None
    tpm = [cohort.expression.tpm(name, "CD3D") for name in ("b01", "b05")]
    cut = float(np.mean(tpm))
    known = marks_of(windows, cohort, [label("CD3D", cut), label("FOXP3")]).known
    assert known["CD3D"] == [ABOVE if value > cut else BELOW for value in tpm]
    assert known["FOXP3"] == [None, None]


def test_a_column_of_the_table_counts_and_what_is_no_number_does_not(cohort_folder: Path) -> None:
    table = cohort_folder / "biopsies.tsv"
    scores = ["score", "2.5", "0.5", "n/a", "3", "n/a", "2", "1", "0"]
    lines = [f"{line}\t{score}" for line, score in zip(table.read_text().splitlines(), scores, strict=True)]
    table.write_text("\n".join(lines) + "\n")
    cohort = read_cohort(cohort_folder)
    windows = open_windows(cohort, "sub-000", PatchRequest(("T1",), 1))[0]
    assert marks_of(windows, cohort, [label("score")]).known["score"] == [ABOVE, None]


def test_a_cohort_without_expression_has_marks_all_the_same(cohort_folder: Path) -> None:
    (cohort_folder / "expression.tsv").unlink()
    text = (cohort_folder / "cohort.toml").read_text()
    (cohort_folder / "cohort.toml").write_text(text.replace('expression = "expression.tsv"\n', ""))
    cohort = read_cohort(cohort_folder)
    windows = open_windows(cohort, "sub-000", PatchRequest(("T1",), 1))[0]
    assert marks_of(windows, cohort, [label("CD3D")]).known["CD3D"] == [None, None]
