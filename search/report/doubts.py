"""The sections that try to take the result down: baselines, permutations, nested validation, the audit."""

from __future__ import annotations

import numpy as np

from search.audit.record import VERDICTS
from search.refits.nested import Nested
from search.refits.permutation import Permutation
from search.refits.rescored import Finalist, SchemeScores
from search.report.blocks import Block, Cell, Command, Picture, Section, Table, Text
from search.report.estimate_figure import CHANCE_METRICS
from search.report.evidence import ENOUGH, SHUFFLED, Evidence
from search.report.ladder import LadderStep
from search.report.ladder_figure import Rung, ladder_figure
from search.report.phrases import counted, listed, named
from search.report.spread_figure import bank_figure, null_figure

SHARED = "shares participants between training and test: too good, for comparison alone"


def ladder_section(evidence: Evidence) -> Section:
    """What each architecture reaches on its own, and whether the selected model beats it."""
    honest = evidence.honest
    if not evidence.steps or honest is None:
        return Section.of("ladder", "Baseline ladder")
    rungs = [Rung("selected", honest.estimate, honest.low, honest.high, True)]
    rungs += [
        Rung(s.architecture, s.honest.estimate, s.honest.low, s.honest.high, False) for s in evidence.steps
    ]
    caption = (
        f"Honest {named(honest.metric)} of the selected model, and of the best trial of each architecture "
        "had it been searched alone."
    )
    return Section.of(
        "ladder",
        "Baseline ladder",
        Picture("ladder", ladder_figure(rungs, honest.metric, named(honest.metric)), caption),
        ladder_table(evidence),
        comparison_table(evidence),
    )


def ladder_table(evidence: Evidence) -> Table:
    """The steps with what each is worth."""
    rows = tuple(
        (
            step.architecture,
            step.configurations,
            step.trial,
            step.honest.naive,
            step.honest.estimate,
            step.honest.low,
            step.honest.high,
            against(step),
        )
        for step in evidence.steps
    )
    return Table(
        "ladder",
        "Architectures, from simple to rich, each as if it had been searched alone",
        (
            "architecture",
            "configurations",
            "best trial",
            "naive",
            "honest",
            "95 % low",
            "95 % high",
            "selected against it",
        ),
        rows,
        note=(
            "Taking the highest of these is again a selection: the row 'selected' of the figure is the "
            "study's result."
        ),
    )


def comparison_table(evidence: Evidence) -> Table:
    """The corrected test of the selected model against each architecture's best trial."""
    rows = tuple(
        (step.architecture, step.trial, one.difference, one.low, one.high, one.p, one.folds, against(step))
        for step in evidence.steps
        if (one := step.comparison) is not None
    )
    return Table(
        "comparisons",
        "AUC within folds of the selected model minus that of each architecture's best trial",
        ("architecture", "trial", "difference", "95 % low", "95 % high", "p (Holm)", "folds", "verdict"),
        rows,
        note=(
            "By the corrected resampled t-test of Nadeau and Bengio; intervals are those of one comparison. "
            "The selected model is compared on the folds that selected it, which favours it."
        ),
    )


def against(step: LadderStep) -> str:
    """Whether the selected model beats an architecture, in words."""
    one = step.comparison
    if one is None:
        return "too few folds"
    if one.indistinguishable:
        return "indistinguishable"
    return "selected is better" if one.difference > 0 else "selected is worse"


def permutation_section(evidence: Evidence) -> Section:
    """The whole pipeline on labels without signal."""
    title = "Permutation test of the whole search"
    why = "It was not run. Whether the same search does as well on shuffled labels:"
    if not evidence.permutations:
        return Section.of("permutation", title, Command(why, f"radsearch test {evidence.name}"))
    blocks: list[Block] = []
    for test in evidence.permutations:
        null = np.array([np.nan if value is None else value for value in test.values], dtype=np.float64)
        name = f"{named(test.statistic)}, labels shuffled {SHUFFLED[test.null]}"
        caption = (
            f"{counted(test.permutations, 'permutation')}, each with a search of {test.configurations} "
            f"configurations fitted anew; p = {test.p_value:.3g}.{_too_few(test)}"
        )
        drawing = null_figure(null, test.observed, test.p_value, name)
        blocks.append(Picture(f"permutation-{test.null}", drawing, caption))
    return Section.of("permutation", title, *blocks, permutation_table(evidence))


def _too_few(test: Permutation) -> str:
    """What to say of a test that could not have rejected anything."""
    if test.permutations >= ENOUGH:
        return ""
    return f" With fewer than {ENOUGH} permutations no p below 0.05 is possible."


def permutation_table(evidence: Evidence) -> Table:
    """The tests in figures."""
    rows: list[tuple[Cell, ...]] = [
        (
            SHUFFLED[test.null],
            named(test.statistic),
            test.observed,
            test.p_value,
            test.permutations,
            test.configurations,
            test.fits,
            test.failed,
            listed(test.reductions) or "none",
        )
        for test in evidence.permutations
    ]
    columns = (
        "shuffled",
        "statistic",
        "observed",
        "p",
        "permutations",
        "configurations",
        "fits",
        "failed",
        "reduced",
    )
    return Table("permutation", "Permutation tests with refits", columns, tuple(rows))


def rescored_section(evidence: Evidence) -> Section:
    """Finalists on other folds and seeds."""
    title = "Other folds and other seeds"
    blocks: list[Block] = []
    for scheme in evidence.rescored.values():
        blocks += _scheme_blocks(scheme)
    if "bank" not in evidence.rescored:
        why = "The finalists were not scored on the bank of ten fold tables. How much of their lead was luck:"
        blocks.append(Command(why, f"radsearch rescore {evidence.name}"))
    return Section.of("rescored", title, *blocks)


def _scheme_blocks(scores: SchemeScores) -> list[Block]:
    blocks: list[Block] = []
    if scores.shares_participants:
        blocks.append(Text(f"What follows {SHARED}.", "warning"))
    values = {f"trial {one.trial}": _by_table(one, scores) for one in scores.finalists}
    if scores.tables > 1 and np.isfinite([*values.values()]).any():
        caption = f"{scores.title}: {named(scores.metric)} of each finalist on each table{_marked(scores)}."
        drawing = bank_figure(values, named(scores.metric), scores.metric in CHANCE_METRICS)
        blocks.append(Picture(f"rescored-{scores.scheme}", drawing, caption))
    return [*blocks, scheme_table(scores)]


def _by_table(one: Finalist, scores: SchemeScores) -> list[float]:
    """A finalist's value on each table, NaN where it has none; that of the search first."""
    found = [np.nan if (value := table[scores.metric]) is None else value for table in one.tables]
    return found if scores.scheme == "bank" else [np.nan, *found]


def scheme_table(scores: SchemeScores) -> Table:
    """The finalists under one scheme, marked as what it is."""
    rows: list[tuple[Cell, ...]] = [
        (
            one.trial,
            "default" if one.is_default else "",
            one.own,
            one.mean(scores.metric),
            one.sd(scores.metric),
            one.regression(scores.metric),
            len(one.values(scores.metric)),
            counted(len(one.failures), "failure") if one.failures else "",
        )
        for one in scores.finalists
    ]
    pooled = (
        " All held-out biopsies are ranked together, as a split holds out too few of one class."
        if (scores.is_pooled)
        else ""
    )
    return Table(
        f"rescored-{scores.scheme}",
        f"{scores.title}{_marked(scores)}: {counted(scores.tables, 'table')}, "
        f"{counted(scores.seeds, 'seed')}",
        (
            "trial",
            "role",
            f"{named(scores.metric)} in the search",
            "mean",
            "sd",
            "regression",
            "tables",
            "fits",
        ),
        tuple(rows),
        note=f"Regression is the search's own value minus the mean: luck of one table and one seed.{pooled}",
    )


def _marked(scores: SchemeScores) -> str:
    told = "shares participants" in scores.title
    return f" ({SHARED})" if scores.shares_participants and not told else ""


def nested_section(evidence: Evidence) -> Section:
    """The search repeated inside each training fold."""
    title, found = "Nested cross-validation", evidence.nested
    if found is None:
        why = "It was not run. The search once more inside each training fold, best for shallow models:"
        return Section.of("nested", title, Command(why, "radsearch nested STUDY.toml"))
    same = "All outer folds selected the same" if found.is_stable else "Outer folds selected different models"
    told = (
        f"{counted(found.configurations, 'configuration')} searched on {found.inner_folds} inner folds in "
        f"each of {found.outer_folds} outer folds; no search has seen what it is scored on. {same} (mean "
        f"overlap {found.overlap:.2f}).{_overridden(found.overrides)}"
    )
    return Section.of("nested", title, Text(told), nested_table(found), nested_folds_table(found))


def _overridden(overrides: tuple[str, ...]) -> str:
    return f" Otherwise than the study: {listed(overrides)}." if overrides else ""


def nested_table(found: Nested) -> Table:
    """Every metric over the outer folds."""
    rows = tuple((named(name), one.value, one.low, one.high) for name, one in found.performance.items())
    pairs = f"{found.informative_pairs} informative pairs within participants"
    note = f"{pairs}; {found.fits} fits, {found.failed} failed."
    return Table(
        "nested", "Metrics over the outer folds", ("metric", "value", "95 % low", "95 % high"), rows, note
    )


def nested_folds_table(found: Nested) -> Table:
    """What each outer fold selected, and what that was worth."""
    rows = tuple(
        (
            f"{fold.repeat}.{fold.fold}",
            fold.inner,
            fold.outer,
            len(fold.selected),
            listed(sorted({str(settings.get("architecture", "")) for settings in fold.settings})),
        )
        for fold in found.folds
    )
    columns = (
        "repeat.fold",
        f"inner {named(found.metric)}",
        f"outer {named(found.metric)}",
        "selected",
        "architectures",
    )
    return Table("nested-folds", "What each outer fold selected", columns, rows)


def audit_section(evidence: Evidence) -> Section:
    """What could be a leak, by name."""
    title, found = "Leakage audit", evidence.audit
    if found is None:
        why = "It was not run; it runs by itself where a grouped AUC passes 0.80."
        return Section.of("audit", title, Command(why, f"radsearch audit {evidence.name}"))
    told = f"{counted(len(found.checks), 'check')}; {counted(len(found.leaks), 'leak')} found, " + (
        f"{counted(len(found.suspicions), 'suspicion')}."
    )
    kind = "warning" if found.leaks else ""
    rows = tuple(
        (check.name, check.verdict, check.sentence) for verdict in VERDICTS for check in found.having(verdict)
    )
    table = Table(
        "audit", "Checks of the audit, the worst first", ("check", "verdict", "what was found"), rows
    )
    return Section.of("audit", title, Text(told, kind), table)
