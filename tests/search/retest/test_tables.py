"""What is printed and tabulated of an agreement."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import pytest
from rich.console import Console

from search.records import TrialConfig
from search.retest.features import FeatureAgreement, FeatureSet
from search.retest.judged import judge, own_maps
from search.retest.record import Retest
from search.retest.tables import agreement_table, features_lines, features_table, notes, sites_lines
from search.statistics.agreement import Measure
from tests.search.retest.by_hand import paired

SET = FeatureSet("texture", 5, True)
VALUES = (0.95, 0.92, 0.85, 0.8, 0.76, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
FEATURES = (
    *(FeatureAgreement(SET, f"T1:f{k}", 24, Measure(v, (v - 0.1, v))) for k, v in enumerate(VALUES)),
    FeatureAgreement(SET, "T1:constant", 24, Measure(None)),
)


def found(people: int = 10, maps: bool = True, features: tuple[FeatureAgreement, ...] = FEATURES) -> Retest:
    sites = paired(people=people)
    configs = (TrialConfig({"architecture": "small_cnn", "patch_radius": 5}, 0),) * 2
    names = dict.fromkeys(sites.participant, "tumour mask")
    lattice = SimpleNamespace(region=names, candidates=dict.fromkeys(names, 9))
    return Retest(
        plan=SimpleNamespace(  # type: ignore[arg-type]
            study=SimpleNamespace(name="[mine]"),
            configs=configs,
            trials=(3, 8),
            rule="rank-average",
            scenes=SimpleNamespace(most=4),
        ),
        study_id="0f",
        biopsies=judge(sites, independent=True),
        trials=(),
        maps=judge(sites, independent=False) if maps else None,
        own_maps=tuple(own_maps(sites)) if maps else (),
        lattice=lattice if maps else None,  # type: ignore[arg-type]
        stride_mm=4.0,
        features=features,
    )


def text_of(what: object, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_the_table_fits_a_terminal_and_has_every_figure() -> None:
    one = found()
    text = text_of(agreement_table(one))
    assert "[mine]: second scans against first" in text
    assert "2 x small_cnn (selected by rank-average: trial 3, 8)" in text
    assert f"{one.biopsies.icc['A'].value:.3f}" in text
    assert f"{one.biopsies.differences.bias.value:+.3f}" in text
    assert f"{one.biopsies.flips.share.value:.1%}" in text
    flips = one.biopsies.flips
    assert flips.unstable != flips.flips_elsewhere
    assert f"{flips.unstable}; {flips.flips_elsewhere}" in text
    assert "40 (10)" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "map" not in text_of(agreement_table(found(maps=False)))


def test_features_at_both_ends_are_shown_and_those_without_an_icc_are_not() -> None:
    text = text_of(features_table(FEATURES))
    assert [f"T1:f{k}" in text for k in range(12)] == [True] * 5 + [False] * 2 + [True] * 5
    assert "constant" not in text
    assert "..." in text
    assert "..." not in text_of(features_table(FEATURES[:6]))


def test_notes_say_which_interval_is_shown_and_what_was_counted() -> None:
    text = " ".join(notes(found()))
    assert "over draws of the 10 participants" in text
    assert "at most 4 sites a participant; 10 had more" in text
    assert "(the shallow ladder's, on the network's patches): of 12, 2 have ICC >= 0.9, and 5 >= 0.75" in text
    few = " ".join(notes(found(people=4)))
    assert "too narrow where a participant has several" in few
    nothing = " ".join(notes(found(people=0, features=())))
    assert "No ICC of the biopsies: at least 3 sites" in nothing
    assert "reads no intensities" in nothing


def test_tables_of_sites_and_features_can_be_read_back() -> None:
    sites = paired()
    rows = list(csv.DictReader(sites_lines(sites, "biopsy_id"), delimiter="\t"))
    first, second = sites.probabilities
    assert [row["biopsy_id"] for row in rows] == list(sites.site)
    assert [float(row["first"]) for row in rows] == pytest.approx(first.tolist(), abs=1e-6)
    assert [float(row["second"]) for row in rows] == pytest.approx(second.tolist(), abs=1e-6)
    assert [int(row["label_first"]) for row in rows] == (first > 0.5).astype(int).tolist()
    told = list(csv.DictReader(features_lines(FEATURES), delimiter="\t"))
    assert [row["icc"] for row in told[:2]] == ["0.9500", "0.9200"]
    assert [told[-1][key] for key in ("feature", "icc", "low", "high")] == [
        "T1:constant",
        "n/a",
        "n/a",
        "n/a",
    ]
