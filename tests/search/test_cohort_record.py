from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from search.cohort_record import cohort_record, notes_on
from search.home import Home
from search.material import Material, prepare
from search.study_file import Study
from tests.search.scanned_again import scan_again


def material_of(make_study: Callable[..., Study], folder: Path, *overrides: str) -> Material:
    return prepare(make_study(folder, *overrides), Home.at(folder / "home"), frozen=False)


def test_a_sound_cohort_is_booked_without_an_id(make_study: Callable[..., Study], tmp_path: Path) -> None:
    material = material_of(make_study, tmp_path)
    record = cohort_record(material)
    assert (record["participants"], record["biopsies"], record["positive"]) == (12, 36, 18)
    assert record["complete"] is None
    (label,) = record["labels"]
    assert (label["name"], label["positive"], label["participants"]) == ("CD3D", 18, 12)
    told = json.dumps(record)
    assert not any(name in told for name in material.patches.biopsy_id)
    assert not any(name in told for name in material.patches.participant_id)


def test_who_lacks_a_sequence_is_counted_and_said(
    make_cohort: Callable[..., Path], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_cohort(tmp_path / "cohort", missing={(2, "T2")})
    for missing, what in (("drop", "are scored but not trained on"), ("mean", "are trained on and scored")):
        material = material_of(make_study, tmp_path, f"input.missing={missing}")
        complete = cohort_record(material)["complete"]
        lacking = [row for row in range(36) if row not in complete]
        assert {material.patches.participant_id[row] for row in lacking} == {"sub-002"}
        assert f"3 of 36 biopsies lack a sequence; they {what}" in list(notes_on(material))


def test_how_many_were_scanned_twice_is_said_where_training_shows_it(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_study(tmp_path)
    scan_again(tmp_path / "cohort", ("sub-001", "sub-004"))
    told = "6 biopsies have a second scan, which training shows in half of the epochs"
    assert told in list(notes_on(material_of(make_study, tmp_path, "input.repeats=augment")))
    assert not any("second scan" in line for line in notes_on(material_of(make_study, tmp_path)))


def test_labels_and_what_is_left_out_are_said_before_the_first_trial(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path)
    table = tmp_path / "cohort" / "expression.tsv"
    table.write_text("\n".join(table.read_text().splitlines()[:-4]) + "\n")
    lines = list(notes_on(prepare(study, Home.at(tmp_path / "home"), frozen=False)))
    assert lines[0] == "4 biopsies have no expression and are left out"
    assert lines[1].startswith("label CD3D: 16 of 32 biopsies above ")
