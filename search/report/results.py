"""The sections that say what was found: the estimate, the performance, every case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from search.report.blocks import Picture, Section, Table, Text
from search.report.calibration_figure import calibration_figure
from search.report.estimate_figure import estimate_figure
from search.report.evidence import Evidence
from search.report.grid_figure import grid_figure
from search.report.intervals import Interval
from search.report.phrases import Range, named
from search.report.roc_band import roc_figure
from search.report.sample_size import ASSUMED, POWER_FORMULA, WIDTH_FORMULA
from search.report.style import AUDITED, CREDIBLE
from search.report.words import Findings, paragraph
from search.statistics.calibration_line import calibration_intercept, logits
from search.statistics.honest import METHOD, Honest
from search.statistics.performance import Measured
from search.statistics.predictions import Outputs, Predictions
from search.verdict import ABOVE

MEANING = {
    "roc_auc": "Share of pairs of a positive and a negative biopsy of one fold that are ranked rightly.",
    "within_participant_auc": "The same over pairs of one participant: what a map of a brain asserts.",
    "between_participant_auc": "Share of pairs of participants of one fold whose mean scores are in the "
    "order of their shares of positive biopsies.",
    "brier": "Mean squared error of the probabilities; 0 is perfect.",
    "brier_skill": "Share of the Brier score of the prevalence that is saved; 0 is no better than it.",
    "log_loss": "Mean negative log likelihood of the probabilities; 0 is perfect.",
    "accuracy": "Share of biopsies that are called rightly.",
    "balanced_accuracy": "Mean of sensitivity and specificity.",
    "f1": "Harmonic mean of precision and recall.",
    "spearman": "Rank correlation of the score with the logarithm of the expression.",
    "calibration_intercept": "Calibration in the large: 0 where as many biopsies are positive as predicted.",
    "calibration_slope": "Of the observed on the predicted logit; below 1 the probabilities are too extreme.",
}


def findings(evidence: Evidence) -> Findings:
    """What the opening paragraph is written from."""
    honest, cohort, within = evidence.honest, evidence.cohort, evidence.within
    seen = evidence.measured.get("within_participant_auc")
    tuned = honest.tuned_minus_default if honest else None
    return Findings(
        target=f"{evidence.definition.label.definition.target} above {cohort['threshold']:.4g}",
        metric=evidence.definition.search.metric,
        biopsies=int(cohort["biopsies"]),
        participants=int(cohort["participants"]),
        handed_out=len(evidence.counted),
        configurations=len(evidence.predictions.trials) if evidence.predictions else 0,
        distinct=honest.distinct if honest else 0,
        selected=selected_words(honest) if honest else None,
        estimate=Range(honest.estimate, honest.low, honest.high) if honest else None,
        reason=honest.reason if honest else None,
        naive=honest.naive if honest else None,
        claim=honest.claim if honest else None,
        chance=honest.chance if honest else None,
        tuned=Range(tuned.estimate, tuned.low, tuned.high) if tuned else None,
        is_default=is_default(evidence.predictions, honest),
        pairs=evidence.pairs,
        within=Range(seen.value, seen.low, seen.high) if seen else None,
        within_honest=Range(within.estimate, within.low, within.high) if within else None,
        within_claim=within.claim if within else None,
        p_global=evidence.p_values.get("global"),
        p_within=evidence.p_values.get("within"),
        leaks=evidence.leaks,
    )


def is_default(predictions: Predictions | None, honest: Honest | None) -> bool:
    """Whether what was selected is the untuned default, or predicts just what it does."""
    if predictions is None or honest is None or predictions.default is None or len(honest.trials) != 1:
        return False
    ends = (predictions.trials.index(honest.trials[0]), predictions.default)
    said = (predictions.probability, predictions.threshold)
    return all(np.array_equal(*(values[end] for end in ends)) for values in said)


def selected_words(honest: Honest) -> str:
    """What was selected, in words."""
    numbers = ", ".join(map(str, honest.trials))
    if honest.distinct == 1:
        return (
            f"trial {numbers}, {'the only one' if honest.configurations == 1 else 'as all predict the same'}"
        )
    if len(honest.trials) == 1:
        rule = {"one-se": "the simplest within one standard error"}.get(honest.rule.name, "the best")
        return f"trial {numbers}, {rule}"
    return f"the mean rank of {len(honest.trials)} trials: {numbers}"


def summary(evidence: Evidence) -> Section:
    """The paragraph in words."""
    told = findings(evidence)
    lead = Text(paragraph(told), "lead")
    known = told.estimate is not None and told.estimate.value is not None
    return Section.of("summary", "In words", lead, Text(sizes_note(told), "note") if known else None)


def sizes_note(findings: Findings) -> str:
    """By what numbers of participants are computed, and under which assumptions."""
    formulas = f"{WIDTH_FORMULA} for an interval of half-width h' in place of h"
    if findings.is_auc and findings.claim is False:
        formulas += f", {POWER_FORMULA} to tell a true AUC of A from chance, s being the standard error"
    return f"Numbers of participants, n' from n: {formulas}. {ASSUMED}"


def estimate(evidence: Evidence) -> Section:
    """The naive and the honest estimate, and what tuning added."""
    honest = evidence.honest
    if honest is None:
        return Section.of("estimate", "The estimate", Text("No trial is complete, so there is no estimate."))
    metric = evidence.definition.search.metric
    drawing = estimate_figure(estimate_rows(evidence, honest), honest.draws, metric, named(metric))
    caption = (
        f"Naive and honest {named(metric)} with 95 % intervals. The honest estimate repeats the selection on "
        "bootstrap samples of participants and scores what is selected on the participants left out."
        f"{_marks(metric)}"
    )
    return Section.of(
        "estimate",
        "The estimate, naive and honest",
        Text(f"There is no honest estimate: {honest.reason}.", "warning") if honest.reason else None,
        Picture("estimate", drawing, caption),
        estimate_table(evidence, honest),
    )


def _marks(metric: str) -> str:
    """What the words in the estimate's picture mean."""
    if metric != "roc_auc":
        return ""
    return (
        f" Credible: the range of {CREDIBLE[0]:.2f} to {CREDIBLE[1]:.2f} that such cohorts can be expected "
        f"to reach; audit: the value of {AUDITED:.2f}, above which a leak is looked for."
    )


def estimate_rows(evidence: Evidence, honest: Honest) -> list[Interval]:
    """The intervals of the estimate's picture."""
    measured = evidence.measured.get(evidence.definition.search.metric, Measured(None, None, None))
    on_all = Interval(
        "selected, on the data that selected it", honest.selected_naive, measured.low, measured.high
    )
    rows = [
        Interval("best trial on its own", honest.naive, None, None, "naive"),
        on_all,
        Interval("selected, honest", honest.estimate, honest.low, honest.high, "honest"),
    ]
    if honest.distinct == 1:  # nothing was picked, so that nothing is naive
        rows = [on_all._replace(name="on all participants"), rows[2]._replace(name="by the bootstrap")]
    return rows + [Interval(name, one.value, one.low, one.high) for name, one in evidence.elsewhere]


def estimate_table(evidence: Evidence, honest: Honest) -> Table:
    """The same in figures."""
    metric = evidence.definition.search.metric
    tuned, measured = honest.tuned_minus_default, evidence.measured.get(metric, Measured(None, None, None))
    picked = (
        "picked by the data that it is scored on" if honest.distinct > 1 else "not picked: all are the same"
    )
    on_all = (honest.selected_naive, measured.low, measured.high)
    rows: list[tuple[str | float | None, ...]] = [
        ("best trial on its own (naive)", honest.naive, None, None, picked),
        ("selected, on the same data", *on_all, selected_words(honest)),
        ("selected, honest", honest.estimate, honest.low, honest.high, METHOD),
        ("one-sided 95 % lower bound", honest.lower, None, None, _claimed(honest)),
    ]
    if tuned is None:
        rows.append(("tuned minus default", None, None, None, "the study's first trial did not complete"))
    else:
        against = f"against trial {tuned.default_trial}, by the same bootstrap"
        rows.append(("tuned minus default", tuned.estimate, tuned.low, tuned.high, against))
    rows += [(name, one.value, one.low, one.high, "see below") for name, one in evidence.elsewhere]
    return Table(
        "estimate",
        f"Estimates of {named(metric)}",
        ("estimate", named(metric), "95 % low", "95 % high", "how"),
        tuple(rows),
        note=(
            f"{honest.configurations} complete trials ({honest.distinct} different) of {honest.handed_out} "
            f"handed out; {len(honest.draws):,} bootstraps of participants.{_above(honest)}"
        ),
    )


def _above(honest: Honest) -> str:
    """Where chance really lies, of an AUC."""
    known = honest.estimate is not None and honest.metric.endswith("auc")
    return f" {ABOVE[0].upper()}{ABOVE[1:]}." if known else ""


def _claimed(honest: Honest) -> str:
    if honest.claim is None:
        return "not compared with chance"
    return "above chance: claim holds" if honest.claim else "not above chance: no claim"


def performance_section(evidence: Evidence) -> Section:
    """Every metric of the selected model, its ROC and its calibration."""
    outputs = evidence.outputs
    if outputs is None:
        return Section.of("performance", "Performance")
    slope = evidence.measured["calibration_slope"].value
    calibration = calibration_figure(outputs, slope, line_intercept(outputs, slope))
    return Section.of(
        "performance",
        "Performance of what was selected",
        Text(
            "All figures are of held-out biopsies but of the model that these biopsies selected; the honest "
            "estimate above corrects the primary metric for that, nothing corrects the others.",
            "note",
        ),
        performance_table(evidence),
        Picture(
            "roc",
            roc_figure(outputs, interval=_bounds(evidence)),
            "ROC within folds, with a band that resamples participants.",
        ),
        Picture("calibration", calibration, "Calibration of the out-of-fold probabilities."),
    )


def _bounds(evidence: Evidence) -> tuple[float, float] | None:
    """The interval of the AUC that the table of metrics shows."""
    found = evidence.measured["roc_auc"]
    return None if found.low is None or found.high is None else (found.low, found.high)


def line_intercept(outputs: Outputs, slope: float | None) -> float | None:
    """The intercept of the calibration line with its fitted slope; the table's is that of a slope of 1."""
    if slope is None:
        return None
    repeats = len(outputs.label)
    scaled = expit(slope * logits(outputs.probability.ravel()))
    found = calibration_intercept(outputs.label.ravel(), scaled, np.tile(outputs.participant, repeats))
    return None if found is None else found[0]


def performance_table(evidence: Evidence) -> Table:
    """The metrics with participant-clustered intervals."""
    rows = [
        (named(name), found.value, found.low, found.high, _meaning(evidence, name))
        for name, found in evidence.measured.items()
    ]
    return Table(
        "performance",
        "Metrics of the selected model over all held-out biopsies",
        ("metric", "value", "95 % low", "95 % high", "what it is"),
        tuple(rows),
        note=(
            "Intervals take biopsies of one participant as dependent, and the model as fixed: after a "
            "search they are too narrow and too high."
        ),
    )


def _meaning(evidence: Evidence, name: str) -> str:
    if name == "within_participant_auc":
        return f"{MEANING[name]} {evidence.pairs} informative pairs."
    return MEANING.get(name, "")


def cases(evidence: Evidence) -> Section:
    """Every held-out biopsy with its probability, from easy to hard."""
    outputs, material = evidence.outputs, evidence.material
    if outputs is None:
        return Section.of("cases", "Every held-out biopsy")
    if material is None:
        told = Text(
            "The cohort was not at hand, so its patches are not shown; --cohort says where it is.", "note"
        )
        return Section.of("cases", "Every held-out biopsy", told, predictions_table(evidence))
    sequence = shown_sequence(material.patches.sequences)
    images = material.patches.images(min(8, material.patches.radius))[
        ..., (material.patches.slices // 2) * len(material.patches.sequences) + sequence
    ]
    name = material.patches.sequences[sequence]
    people = [evidence.names.participant[person] for person in outputs.participant]
    names = [f"{one} of {person}" for one, person in zip(evidence.names.biopsy, people, strict=True)]
    absent = ~material.patches.present[:, sequence]
    grid = grid_figure(np.where(absent[:, None, None], np.nan, images), outputs, names, name)
    caption = (
        f"All {len(material.patches)} held-out biopsies from easy to hard, each with its probability of "
        f"being positive; {name} patches."
    )
    return Section.of(
        "cases", "Every held-out biopsy", Picture("grid", grid, caption, caption), predictions_table(evidence)
    )


def shown_sequence(sequences: Sequence[str]) -> int:
    """The sequence that patches are shown in: T1 with gadolinium where there is one, else the first."""
    return next((i for i, name in enumerate(sequences) if name.lower() in ("t1gd", "t1ce", "t1c")), 0)


def predictions_table(evidence: Evidence) -> Table | None:
    """What the selected model said of each held-out biopsy."""
    outputs, names = evidence.outputs, evidence.names
    if outputs is None:
        return None
    rows = [
        (
            names.biopsy[row],
            names.participant[int(outputs.participant[row])],
            repeat,
            int(outputs.fold[repeat, row]),
            int(outputs.label[repeat, row]),
            float(outputs.score[repeat, row]),
            float(outputs.probability[repeat, row]),
            int(outputs.predicted[repeat, row]),
        )
        for repeat in range(len(outputs.label))
        for row in range(outputs.label.shape[1])
    ]
    columns = ("biopsy", "participant", "repeat", "fold", "label", "score", "probability", "predicted")
    caption = "Predictions of the selected model for biopsies that it was not fitted on"
    return Table("predictions", caption, columns, tuple(rows), shown=10)
