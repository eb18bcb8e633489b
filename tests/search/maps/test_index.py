"""The page and the table over the maps of a cohort."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from search.maps.index import COLUMNS, write_index
from search.maps.making import Made
from search.maps.naming import file_name

NASTY = "sub <img src=x onerror=alert(1)>\t2"


def made(out: Path, participant: str, fold: int | None = None, scored: bool = False) -> Made:
    told: dict[str, Any] = {
        "name": participant,
        "region": {"volume_ml": 12.5},
        "unlike_share": 0.25,
        "seconds": 3.2,
        "labels": [{"name": "CD3D", "above_share": 0.5, "mean_probability": None}],
    }
    if scored:
        told["scores"] = [{"label": "CD3D", "correlation": 0.61, "p_value": 0.02}]
    record = {"in_training": fold is not None, "out_of_fold": fold is not None, "fold": fold, "maps": [told]}
    folder = out / file_name(participant)
    folder.mkdir()
    for name in (f"{file_name(participant)}.html", f"{file_name(participant)}_CD3D.png"):
        (folder / name).write_text("x")
    return Made(participant, folder, record, (), ())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    maps = [made(tmp_path, "sub-001", 2, scored=True), made(tmp_path, NASTY)]
    write_index(tmp_path, "Maps of CD3D in toy", "model toy", maps, {"sub-<9>": ("T1.nii.gz: damaged",)})
    return tmp_path


def test_the_page_links_what_is_there(out: Path) -> None:
    page = (out / "index.html").read_text()
    links = [unquote(link) for link in re.findall(r'(?:href|src)="([^"#]+)"', page)]
    assert len(links) == 6
    assert all((out / link).is_file() for link in links)


def test_names_are_text(out: Path) -> None:
    page = (out / "index.html").read_text()
    assert "<img src=x" not in page
    assert "sub-&lt;9&gt;" in page
    assert "T1.nii.gz: damaged" in page


def test_the_page_may_load_nothing_from_a_network(out: Path) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', (out / "index.html").read_text())
    assert policy is not None
    assert "script-src &#39;none&#39;" in policy[1] or "script-src 'none'" in policy[1]
    assert "http" not in policy[1]


def test_the_table_has_a_row_a_map_and_label(out: Path) -> None:
    with (out / "summary.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert tuple(rows[0]) == COLUMNS
    assert [row["training"] for row in rows] == ["out of fold 3", "no"]
    assert [row["correlation"] for row in rows] == ["0.61", "n/a"]
    assert rows[0]["mean_probability"] == "n/a"
    assert rows[1]["participant_id"] == " ".join(NASTY.split())
    assert (out / rows[1]["folder"]).is_dir()
