from __future__ import annotations

import json
from pathlib import Path

from data_prep.check.findings import Finding
from data_prep.check.reading import inspect
from data_prep.check.record import check_record
from tests.data_prep.check.heads import read_sites, write_heads, write_sites


def test_the_record_says_who_has_what_and_where_sites_fall(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    (folder / "sub-1" / "T2.nii.gz").unlink()
    (folder / "sub-2" / "T1.nii.gz").write_bytes(b"")
    rows = read_sites(folder)
    rows[0][1:] = [12, -13, 12]  # 2 mm outside the tumour
    write_sites(folder, rows)
    findings = [Finding("note", "a-code", "here", "law, but value.", "Do this.", "sub-1", ("b03",))]
    record = check_record(inspect(folder), findings)
    assert record["cohort"] == "heads"
    assert record["counts"] == {
        "errors": 0,
        "warnings": 0,
        "notes": 1,
        "participants": 4,
        "biopsies": 12,
        "sequences": 3,
        "files": 19,
    }
    assert [person["biopsies"] for person in record["participants"][:2]] == [
        ["b00", "b01", "b02"],
        ["b03", "b04", "b05"],
    ]
    assert record["participants"][1]["present"] == {"T1": True, "T2": False, "FLAIR": True}
    assert [person["unreadable"] for person in record["participants"]] == [[], [], ["T1"], []]
    tumor, brain, image = record["sites"]
    assert (tumor["part"], tumor["of"], tumor["inside"], tumor["outside"]) == ("tumor", 12, 11, ["b00"])
    assert 0 < tumor["farthest_mm"] < 4
    assert (brain["inside"], image["inside"], image["farthest_mm"]) == (12, 12, None)
    assert record["findings"][0]["biopsies"] == ["b03"]
    json.dumps(record, allow_nan=False)


def test_a_cohort_of_which_nothing_can_be_read_has_a_record(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    (folder / "biopsies.tsv").unlink()
    record = check_record(inspect(folder), [])
    assert (record["participants"], record["sites"]) == ([], [])
