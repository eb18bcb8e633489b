"""`retest.json`: its keys, and that they say what was found."""

from __future__ import annotations

import json
from statistics import median
from types import SimpleNamespace

import pytest

from search.home import StudyFolder
from search.report.agreement import read_agreement
from search.retest.record import FILE, write_retest


@pytest.fixture
def record(retested: SimpleNamespace) -> dict:  # type: ignore[type-arg]
    found: dict[str, object] = json.loads((retested.home.study("again").root / FILE).read_text())
    return found


def test_the_keys_are_those_that_are_documented(record: dict) -> None:  # type: ignore[type-arg]
    assert list(record) == [
        "study", "study_id", "cohort", "context", "rule", "trials", "scanned_twice", "probabilities", "maps",
        "features",
    ]  # fmt: skip
    assert list(record["probabilities"]) == [
        "sites", "participants", "reason", "icc", "bland_altman", "flips"
    ]  # fmt: skip
    assert list(record["probabilities"]["icc"]) == ["1", "A", "C"]
    measure = record["probabilities"]["icc"]["A"]
    assert list(measure) == ["value", "ci95", "ci95_participants", "ci95_textbook"]
    assert list(record["probabilities"]["bland_altman"]) == [
        "bias", "lower_limit", "upper_limit", "repeatability"
    ]  # fmt: skip
    assert list(record["probabilities"]["flips"]) == [
        "sites", "flips", "share", "by_chance", "kappa", "unstable", "flips_elsewhere"
    ]  # fmt: skip
    assert list(record["maps"]["each"][0]) == [
        "participant_id", "region", "sites", "candidates", "icc", "flip_rate"
    ]  # fmt: skip
    assert list(record["features"]) == [
        "sets", "measured", "undefined", "at_least_0.75", "at_least_0.90", "each"
    ]  # fmt: skip


def test_the_counts_agree_with_each_other(record: dict) -> None:  # type: ignore[type-arg]
    assert record["scanned_twice"] == {
        "biopsies": 24, "participants": 8, "of_biopsies": 36, "of_participants": 12
    }  # fmt: skip
    assert (record["probabilities"]["sites"], record["probabilities"]["participants"]) == (24, 8)
    assert record["rule"] == "rank-average"
    maps = record["maps"]
    assert maps["sites"] == sum(one["sites"] for one in maps["each"])
    assert all(one["sites"] == min(one["candidates"], maps["most_sites"]) for one in maps["each"])
    assert {one["region"] for one in maps["each"]} == {"tumour mask", "around the biopsies"}
    assert maps["lowest_icc"] <= maps["median_icc"] <= maps["highest_icc"]
    known = [one["icc"] for one in maps["each"] if one["icc"] is not None]
    assert maps["median_icc"] == pytest.approx(median(known))
    features = record["features"]
    values = [one["icc"]["value"] for one in features["each"]]
    assert features["at_least_0.75"] == sum(value >= 0.75 for value in values)
    assert features["measured"] + features["undefined"] == len(values)


def test_a_later_result_takes_the_place_of_an_earlier_one(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = StudyFolder(tmp_path)
    write_retest(folder, {"a": 1})
    path = write_retest(folder, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_the_report_reads_what_is_written(retested: SimpleNamespace, record: dict) -> None:  # type: ignore[type-arg]
    found = read_agreement(retested.home.study("again"))
    assert found is not None
    assert found.study_id == record["study_id"]
    assert found.probabilities.icc.value == record["probabilities"]["icc"]["A"]["value"]
    assert found.probabilities.flips.value == record["probabilities"]["flips"]["share"]["value"]
    assert found.maps is not None
    assert (found.maps.sites, found.map_icc.value) == (record["maps"]["sites"], record["maps"]["median_icc"])
    assert found.features == record["features"]["measured"] > 0
