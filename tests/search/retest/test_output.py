"""What lies under --out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from PIL import Image

from data_prep.problems import InputError
from search.retest.output import check_out


def test_figures_and_tables_are_whole(retested: SimpleNamespace) -> None:
    files = {path.name for path in retested.out.iterdir()}
    tables = {"biopsies.tsv", "features.tsv", "map.tsv"}
    names = ("bland-altman", "map-agreement")
    assert files == tables | {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    for name in names:
        drawing = (retested.out / f"{name}.svg").read_text()
        assert ElementTree.fromstring(drawing).tag.endswith("svg")  # noqa: S314 - our own
        with Image.open(retested.out / f"{name}.png") as image:
            assert min(image.size) > 300


def test_tables_have_what_the_record_counts(retested: SimpleNamespace) -> None:
    record = json.loads((retested.home.study("again").root / "retest.json").read_text())
    rows = {}
    for name in ("biopsies", "map", "features"):
        with (retested.out / f"{name}.tsv").open() as file:
            rows[name] = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows["biopsies"]) == record["probabilities"]["sites"]
    assert len(rows["map"]) == record["maps"]["sites"]
    assert len(rows["features"]) == len(record["features"]["each"])
    flips = [row for row in rows["map"] if row["label_first"] != row["label_second"]]
    assert len(flips) == record["maps"]["flips"]["flips"]


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(InputError, match="--out: a folder must be there or be made"):
        check_out(tmp_path / "taken")
    check_out(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
