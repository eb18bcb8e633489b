"""What tries to take the result down: each scheme marked as what it is, each test with its command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from search.audit.record import LEAK, PASSED, Audit, Check
from search.records import FoldResult
from search.refits.nested import Nested, OuterFold
from search.refits.permutation import Permutation
from search.refits.rescored import Finalist, SchemeScores, metrics_of
from search.report.blocks import Block, Command, Picture, Table, Text
from search.report.doubts import (
    SHARED,
    audit_section,
    comparison_table,
    ladder_table,
    nested_section,
    permutation_section,
    rescored_section,
)
from search.report.evidence import Evidence
from search.report.results import estimate_rows, estimate_table, findings
from search.report.words import paragraph
from search.statistics.performance import Measured

TEST = Permutation(
    study="shallow",
    study_id="0f",
    null="global",
    statistic="roc_auc",
    observed=0.7,
    values=(0.5, 0.6, None),
    p_value=0.5,
    permutations=199,
    configurations=20,
    selected=(),
    rule={},
    seed=0,
    reductions=("training.epochs=10",),
    fits=300,
    failed=1,
    drawn_again=0,
    fit_seconds=10.0,
    protocol="p",
    versions={},
)
NESTED = Nested(
    study="shallow",
    metric="roc_auc",
    rule={},
    configurations=20,
    inner_folds=4,
    outer_folds=2,
    repeats=1,
    table="t",
    folds=(
        OuterFold(0, 0, (1, 2), ({"architecture": "roi_means"},), 0.7, 0.5),
        OuterFold(0, 1, (1,), ({"architecture": "constant"},), 0.7, None),
    ),
    performance={"roc_auc": Measured(0.56, 0.4, 0.7)},
    informative_pairs=12,
    fits=200,
    failed=0,
    fit_seconds=1.0,
    overrides=(),
    protocol="p",
    versions={},
)


@pytest.fixture
def scores(make_fold: Callable[..., FoldResult]) -> Callable[..., SchemeScores]:
    """Two finalists on two tables of one scheme."""

    def make(scheme: str, shared: bool, trial: int = 0) -> SchemeScores:
        def finalist(number: int, error: float) -> Finalist:
            folds = tuple(make_fold(split, error, repeat=split) for split in range(2))
            tables = tuple(metrics_of([fold], False) for fold in folds)
            return Finalist(number, number == 1, {}, 0.9, tables, folds, ())

        found = (finalist(trial, 0.48), finalist(trial + 1, 0.5))
        return SchemeScores(
            scheme, f"the {scheme} scheme", shared, False, "roc_auc", "", "", None, 2, 3, 6, found
        )

    return make


def tables(blocks: tuple[Block, ...]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def test_the_ladder_has_a_row_for_each_architecture_and_a_verdict(evidence: Evidence) -> None:
    table = ladder_table(evidence)
    assert [row[0] for row in table.rows] == ["constant", "roi_means"]
    assert all(row[-1] == "indistinguishable" for row in table.rows)
    assert "Taking the highest of these is again a selection" in table.note
    assert [row[0] for row in comparison_table(evidence).rows] == [row[0] for row in table.rows]


@pytest.mark.parametrize(
    "section",
    [permutation_section, nested_section, rescored_section, audit_section],
    ids=lambda s: s.__name__,
)
def test_what_was_not_run_says_what_to_type(evidence: Evidence, section: Callable[..., object]) -> None:
    found = section(evidence)
    assert [block for block in found.blocks if isinstance(block, Command)]  # type: ignore[attr-defined]
    assert not found.answers  # type: ignore[attr-defined]


def test_a_permutation_test_is_drawn_listed_and_told(evidence: Evidence) -> None:
    found = replace(evidence, permutations=(TEST, replace(TEST, null="within", p_value=0.01)))
    section = permutation_section(found)
    assert len([block for block in section.blocks if isinstance(block, Picture)]) == 2
    (table,) = tables(section.blocks)
    assert [row[:4] for row in table.rows] == [
        ("between and within participants", "AUC", 0.7, 0.5),
        ("within participants", "AUC", 0.7, 0.01),
    ]
    assert "training.epochs=10" in str(table.rows[0])
    text = paragraph(findings(found))
    assert findings(found).p_global == 0.5
    assert "p = 0.5" in text
    assert "shuffled within participants supports a signal (p = 0.01)" in text


def test_a_test_that_could_not_reject_is_no_evidence(evidence: Evidence) -> None:
    found = replace(evidence, permutations=(replace(TEST, permutations=9),))
    assert "shuffled" not in paragraph(findings(found))
    assert "no p below 0.05 is possible" in str(permutation_section(found).blocks[0])


def test_nested_validation_stands_beside_the_estimate(evidence: Evidence) -> None:
    found = replace(evidence, nested=NESTED)
    metrics, folds = tables(nested_section(found).blocks)
    assert metrics.rows == (("AUC", 0.56, 0.4, 0.7),)
    assert [row[1:3] for row in folds.rows] == [(0.7, 0.5), (0.7, None)]
    assert found.honest is not None
    assert ("nested cross-validation", 0.56, 0.4, 0.7) in {
        row[:4] for row in estimate_rows(found, found.honest)
    }


def test_a_scheme_that_shares_participants_is_marked_wherever_it_is_shown(
    evidence: Evidence, scores: Callable[..., SchemeScores]
) -> None:
    assert evidence.honest is not None
    trial = evidence.honest.trials[0]
    rescored = {"bank": scores("bank", False, trial), "random": scores("random", True, trial)}
    found = replace(evidence, rescored=rescored)
    section = rescored_section(found)
    bank, random = tables(section.blocks)
    assert SHARED in random.caption
    assert SHARED not in bank.caption
    assert [block for block in section.blocks if isinstance(block, Text) and SHARED in block.text]
    pictures = [block for block in section.blocks if isinstance(block, Picture)]
    assert [SHARED in picture.caption for picture in pictures] == [False, True]
    assert not [block for block in section.blocks if isinstance(block, Command)]
    shown = [row[0] for row in estimate_rows(found, evidence.honest) if "random" in row[0]]
    shown += [str(row[0]) for row in estimate_table(found, evidence.honest).rows if "random" in str(row[0])]
    assert len(shown) == 2
    assert all("shares participants" in name for name in shown)


def test_the_luck_of_one_table_is_the_searchs_value_minus_the_mean(
    evidence: Evidence, scores: Callable[..., SchemeScores]
) -> None:
    bank = scores("bank", False)
    (table,) = tables(rescored_section(replace(evidence, rescored={"bank": bank})).blocks)
    for row, one in zip(table.rows, bank.finalists, strict=True):
        mean = sum(values["roc_auc"] or 0 for values in one.tables) / 2
        assert row[3] == pytest.approx(mean)
        assert row[5] == pytest.approx(0.9 - mean)


def test_the_audit_lists_the_worst_first_and_reaches_the_opening_paragraph(evidence: Evidence) -> None:
    checks = (Check("location", PASSED, "Sites say nothing."), Check("copies", LEAK, "Two are one."))
    audit = Audit("shallow", "2026-01-01", 1.0, {}, {}, checks)
    found = replace(evidence, audit=audit)
    text, table = audit_section(found).blocks
    assert isinstance(text, Text)
    assert text.kind == "warning"
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["copies", "location"]
    assert "the leakage audit objects (copies)" in paragraph(findings(found)).lower()
