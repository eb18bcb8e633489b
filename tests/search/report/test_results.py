"""What was found, as tables and words: the numbers are those of the statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from search.facts import rule_of
from search.report.blocks import Picture, Text
from search.report.evidence import Evidence
from search.report.intervals import told
from search.report.results import (
    cases,
    estimate,
    estimate_rows,
    estimate_table,
    findings,
    is_default,
    line_intercept,
    performance_section,
    performance_table,
    predictions_table,
    selected_words,
    shown_sequence,
    sizes_note,
    summary,
)
from search.report.sample_size import ASSUMED, POWER_FORMULA, WIDTH_FORMULA
from search.report.words import paragraph
from search.statistics.honest import estimate_of
from search.statistics.predictions import Outputs
from tests.search.report.drawn import texts


def test_the_paragraph_is_written_from_the_estimate(evidence: Evidence) -> None:
    found, honest = findings(evidence), evidence.honest
    assert honest is not None
    assert found.estimate is not None
    assert (found.estimate.value, found.claim) == (honest.estimate, honest.claim)
    assert found.handed_out == 6
    assert f"{honest.estimate:.2f}" in paragraph(found)
    assert selected_words(honest) in paragraph(found)


def test_naive_and_honest_stand_in_one_table_with_what_tuning_added(evidence: Evidence) -> None:
    assert evidence.honest is not None
    rows = {row[0]: row for row in estimate_table(evidence, evidence.honest).rows}
    assert rows["best trial on its own (naive)"][1] == evidence.honest.naive
    assert rows["selected, honest"][1:4] == (
        evidence.honest.estimate,
        evidence.honest.low,
        evidence.honest.high,
    )
    assert "tuned minus default" in rows


def test_every_metric_of_the_science_note_has_a_row_and_a_meaning(evidence: Evidence) -> None:
    table = performance_table(evidence)
    assert len(table.rows) == len(evidence.measured) == 12
    assert all(row[4] for row in table.rows)
    (within,) = [row for row in table.rows if row[0] == "AUC within participants"]
    assert f"{evidence.pairs} informative pairs" in str(within[4])


def test_there_is_a_prediction_of_each_biopsy(evidence: Evidence) -> None:
    table = predictions_table(evidence)
    assert table is not None
    assert evidence.outputs is not None
    assert len(table.rows) == evidence.outputs.label.size
    assert [row[0] for row in table.rows[:2]] == ["B001", "B002"]
    assert {row[4] for row in table.rows} == {0, 1}


def test_the_figure_and_the_table_give_one_interval_of_the_auc(evidence: Evidence) -> None:
    (roc,) = [b for b in performance_section(evidence).blocks if isinstance(b, Picture) and b.name == "roc"]
    assert isinstance(roc.drawing, Figure)
    (row,) = [row for row in performance_table(evidence).rows if row[0] == "AUC"]
    assert f"within folds: AUC {told(*row[1:4])}" in texts(roc.drawing)  # type: ignore[arg-type]
    assert evidence.honest is not None
    (same,) = [row for row in estimate_table(evidence, evidence.honest).rows if "same data" in str(row[0])]
    assert same[1:4] == row[1:4]


def test_the_patches_carry_the_probability_of_being_positive(evidence: Evidence) -> None:
    (grid,) = [block for block in cases(evidence).blocks if isinstance(block, Picture)]
    assert "its probability of being positive" in grid.caption
    assert "true class" not in grid.caption + grid.alt


def test_where_chance_lies_stands_below_the_estimate(evidence: Evidence) -> None:
    assert evidence.honest is not None
    assert "about 0.52 to 0.54, not 0.50" in estimate_table(evidence, evidence.honest).note
    brier = replace(evidence.honest, metric="brier")
    assert "0.52" not in estimate_table(evidence, brier).note


def test_duplicates_are_told_apart_from_configurations(evidence: Evidence) -> None:
    assert evidence.honest is not None
    honest = replace(evidence.honest, distinct=2, configurations=6)
    found = replace(evidence, honest=honest)
    assert "6 complete trials (2 different) of" in estimate_table(found, honest).note
    assert "Only 2 different configurations" in paragraph(findings(found))


def test_of_one_trial_nothing_was_picked(evidence: Evidence) -> None:
    assert evidence.predictions is not None
    default = evidence.predictions.default
    assert default is not None
    one = evidence.predictions.take([default])
    honest = estimate_of(one, rule_of(evidence.study), "roc_auc", 50, 0)
    found = replace(evidence, predictions=one, honest=honest, outputs=one.outputs(0))
    assert is_default(one, honest)
    assert not is_default(replace(one, default=None), honest)
    assert selected_words(honest) == f"trial {one.trials[0]}, the only one"
    assert not [row for row in estimate_rows(found, honest) if row.role == "naive"]
    assert "picked by" not in str(estimate_table(found, honest).rows)
    assert "tuning added nothing" in paragraph(findings(found))


def test_the_words_in_the_picture_and_the_formulas_are_explained(evidence: Evidence) -> None:
    (picture,) = [block for block in estimate(evidence).blocks if isinstance(block, Picture)]
    assert "Credible: the range of 0.65 to 0.75" in picture.caption
    assert "audit: the value of 0.80" in picture.caption
    _, note = summary(evidence).blocks
    assert isinstance(note, Text)
    assert WIDTH_FORMULA in note.text
    assert ASSUMED in note.text
    unclaimed = replace(findings(evidence), claim=False)
    assert POWER_FORMULA in sizes_note(unclaimed)
    assert POWER_FORMULA not in sizes_note(replace(unclaimed, metric="brier"))
    assert POWER_FORMULA not in sizes_note(replace(unclaimed, claim=True))


def test_the_calibration_line_is_that_of_a_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    label, probability = rng.integers(0, 2, 200), rng.uniform(0.2, 0.8, 200)
    fold = np.zeros((1, 200), dtype=np.int64)
    outputs = Outputs(label[None], np.arange(200), fold, probability[None], probability[None], label[None])
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(probability)[:, None], label)
    found = line_intercept(outputs, float(model.coef_[0, 0]))
    assert found == pytest.approx(model.intercept_[0], abs=1e-4)
    assert expit(found) > 0
    assert line_intercept(outputs, None) is None


def test_patches_are_shown_with_contrast_where_there_is_one() -> None:
    assert shown_sequence(("FA", "T1", "T1Gd")) == 2
    assert shown_sequence(("FA", "T1")) == 0
