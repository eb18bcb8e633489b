"""`radsearch test STUDY`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import optuna
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from data_prep.arrays import IntArray
from data_prep.problems import InputError
from search.audit.looks import look_at
from search.facts import rule_of
from search.home import Home
from search.material import Material, prepare
from search.opening import study_id
from search.placement import Placement
from search.recorded import material_of, recorded_study
from search.records import FoldResult
from search.refits.configurations import draw_configurations, hypermodels_asked
from search.refits.crew import run_fits
from search.refits.fit import Fit, context_of
from search.refits.forecast import fits_counted, forecast, pace_of, seconds_of
from search.refits.history import Past, add_test, now
from search.refits.ledger import FitLedger
from search.refits.orders import NULLS
from search.refits.permutation import Permutation, chosen, write_permutation
from search.refits.permuting import STATISTICS, Findings, Plan
from search.refits.pipeline import Chooser, table_of
from search.refits.protocol import protocol_hash
from search.refits.reduction import as_begun, reduced
from search.refits.selected import selected_text, teller
from search.storage import storage_told
from search.study_file import Study
from search.terminal import counting, placed, say
from search.versions import software_versions

SHUFFLED = {"global": "between participants", "within": "within participants"}
CLAIMED = {
    "global": "{teller} the label of a biopsy",
    "within": "{teller} the biopsies of one participant apart",
}
LEVEL = 0.05
COSTING = ("training", "validation")  # sections of which a reduction chooses nothing


@dataclass(frozen=True)
class Setting:
    """What the tests of one call share.

    Attributes:
        study: The study, reduced.
        recorded: The study in Optuna's storage.
        reductions: What is otherwise than in the study recorded, a line each.
        home: Where it lives.
        material: Its dataset.
        chooser: The search that is repeated.
        placements: Where fits run.
        pace: Seconds of one fit, as far as the study's own trials tell.
        permutations: How many.
        seed: Of them.
    """

    study: Study
    recorded: optuna.Study
    reductions: tuple[str, ...]
    home: Home
    material: Material
    chooser: Chooser
    placements: tuple[Placement, ...]
    pace: float | None
    permutations: int
    seed: int


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Test a study against labels without signal; whatever the outcome, 0."""
    if args.without_refits:
        raise InputError(
            "--without-refits: refused: labels permuted against stored predictions claim a signal in 17 % of "
            "cohorts without any, at a nominal 5 %, as no model is fitted and none selected anew; valid is: "
            f"radsearch test {args.study} --permutations {args.permutations}"
        )
    setting = _setting(args)
    nulls = NULLS if args.null == "both" else (args.null,)
    tests = [_tested(setting, null) for null in nulls]
    look_at(setting.recorded, setting.home, "test")
    if args.json:
        told = {"study": args.study, **{test.null: test.record() for test in tests}}
        sys.stdout.write(json.dumps(told, indent=2, allow_nan=False) + "\n")
        return 0
    Console().print(tests_table(tests))
    for line in remarks(tests, setting.material.participant):
        say(line)
    return 0


def _setting(args: argparse.Namespace) -> Setting:
    home = Home.at(args.home)
    recorded, study = recorded_study(home, args.storage, args.study, args.cohort)
    begun, changed = as_begun(study, recorded)
    smaller, reductions = reduced(begun, args.set)
    home.check_writable(study.name)
    placements = placed(args.workers, args.gpus, args.slots_per_gpu, args.require_gpu)
    with counting("reading volumes: participant") as progress:
        material = material_of(study, recorded, home, progress)
        if args.set:
            material = prepare(smaller, home, frozen=True, progress=progress)
    with hypermodels_asked(smaller, home, material, placements[0]) as composer:
        configs = draw_configurations(smaller, args.configurations, args.seed, composer)
    chooser = Chooser(configs, rule_of(recorded), study.search.metric)
    pace = seconds_of(configs, pace_of(recorded))
    return Setting(
        smaller,
        recorded,
        (*changed, *reductions),
        home,
        material,
        chooser,
        placements,
        pace,
        args.permutations,
        args.seed,
    )


def _tested(setting: Setting, null: str) -> Permutation:
    """Run one test, or what is left of it, and keep it."""
    study, material = setting.study, setting.material
    folder = setting.home.study(study.name)
    with ExitStack() as stack:
        own, permuted = (
            stack.enter_context(
                FitLedger.open(
                    folder.root / "refits" / f"permutation-{what}.jsonl", context_of(study, material)
                )
            )
            for what in ("observed", null)
        )
        plan = Plan.of(
            setting.chooser,
            null,
            material.participant,
            lambda order: table_of(material, study.validation, order),
            setting.permutations,
            setting.seed,
        )
        kept = sum(fit in (own if fit.order is None else permuted) for fit in plan.fits)
        told = forecast(len(plan.fits), kept, setting.pace, len(setting.placements))
        _tell(f"{study.name}, labels shuffled {SHUFFLED[null]}: {told}")
        _fit(setting, plan.own, own, "fits with the study's own labels:")
        plan.observed(own.result)
        _fit(setting, plan.fits[len(plan.own) :], permuted, f"fits, labels shuffled {SHUFFLED[null]}:")

        def result(fit: Fit) -> FoldResult | None:
            return (own if fit.order is None else permuted).result(fit)

        permutation = _record(setting, null, plan.findings(result))
    permutation = replace(permutation, earlier=add_test(folder, _past(permutation)))
    write_permutation(folder, permutation)
    return permutation


def _past(test: Permutation) -> Past:
    """What the next tests of the study are to know of this one."""
    return Past(
        now(),
        test.study_id,
        test.null,
        test.p_value,
        test.permutations,
        test.configurations,
        test.seed,
        test.reductions,
        test.protocol,
    )


def _fit(setting: Setting, fits: Sequence[Fit], ledger: FitLedger, what: str) -> None:
    with fits_counted(what) as progress:
        run_fits(fits, ledger, setting.study, setting.home, setting.material, setting.placements, progress)


def _record(setting: Setting, null: str, found: Findings) -> Permutation:
    study, chooser = setting.study, setting.chooser
    rule = {"name": chooser.rule.name, "top": chooser.rule.top, "metric": chooser.metric}
    table = table_of(setting.material, study.validation).hash
    choices = {"null": null, "configurations": len(chooser.configs), "seed": setting.seed}
    return Permutation(
        study=study.name,
        study_id=study_id(setting.recorded),
        null=null,
        statistic=STATISTICS[null],
        observed=found.observed,
        values=found.values,
        p_value=found.p_value,
        permutations=len(found.values),
        configurations=len(chooser.configs),
        selected=tuple(dict(chooser.configs[member].settings) for member in found.selected),
        rule=rule,
        seed=setting.seed,
        reductions=setting.reductions,
        declared_after=bool(chosen(setting.reductions)),
        fits=found.fits,
        failed=found.failed,
        drawn_again=found.drawn_again,
        fit_seconds=found.fit_seconds,
        protocol=protocol_hash(study, setting.material, table, rule=rule, **choices),
        versions=software_versions(),
    )


def tests_table(tests: Sequence[Permutation]) -> Table:
    """A row a null."""
    title = f"{tests[0].study}: the whole search repeated under shuffled labels"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("labels shuffled", no_wrap=True)
    table.add_column("statistic")
    table.add_column("selected")
    for column in ("observed", "mean", "95 %", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for test in tests:
        values = np.array([value for value in test.values if value is not None])
        shuffled = (values.mean(), np.quantile(values, 0.95)) if len(values) else ()
        cells = [f"{value:.3f}" for value in (test.observed, *shuffled)]
        cells += ["-"] * (3 - len(cells)) + [f"{test.p_value:.3f}"]
        table.add_row(
            SHUFFLED[test.null], test.statistic.replace("_", " "), selected_text(test.selected), *cells
        )
    return table


def remarks(tests: Sequence[Permutation], participant: IntArray) -> list[str]:
    """What the tests say, in sentences.

    Args:
        tests: Of one call.
        participant: A number per participant from 0 on, shape (biopsies,).
    """
    lines = [line for test in tests for line in (verdict(test), *_earlier(test))]
    first = tests[0]
    searched = f"each search: {first.configurations} configurations, selection {first.rule['name']}"
    reduced_by = ", ".join(first.reductions)
    lines.append(f"{searched}; reduced by {reduced_by}" if reduced_by else searched)
    if any(line.startswith(COSTING) for line in first.reductions):
        lines.append("to reduce training and folds costs power alone: it is done to the shuffled labels too")
    lines += _exactness(tests, participant)
    lines += [f"{test.failed} of {test.fits} fits failed" for test in tests if test.failed]
    return lines


def _earlier(test: Permutation) -> Iterator[str]:
    if test.earlier:
        yield (
            f"test number {len(test.earlier) + 1} of this null on this study: whoever reports one of several "
            f"p-values has chosen it; earlier: {'; '.join(map(_told, test.earlier))}"
        )


def _told(past: Past) -> str:
    reduced_by = f", reduced by {', '.join(past.reductions)}" if past.reductions else ""
    return (
        f"p {past.p_value:.3f} ({past.time}: {past.permutations} permutations, {past.configurations} "
        f"configurations, seed {past.seed}{reduced_by})"
    )


def _exactness(tests: Sequence[Permutation], participant: IntArray) -> Iterator[str]:
    """SCIENCE, table of section 2: blocks of unequal sizes do not make a group."""
    sizes = np.bincount(participant)
    if sizes.min() < sizes.max() and any(test.null == "global" for test in tests):
        yield (
            f"participants have {sizes.min()} to {sizes.max()} biopsies: labels shuffled between them give "
            "an exact p only where all have as many (simulated with 1 to 8: 5.8 % false claims at a nominal "
            "5 %)"
        )


def verdict(test: Permutation) -> str:
    """What one test says, and whether it may be believed."""
    return f"{_found(test)}. But {test.caution}" if test.caution else _found(test)


def _found(test: Permutation) -> str:
    reached = round(test.p_value * (1 + test.permutations)) - 1
    found = (
        f"{reached} of {test.permutations} searches under labels shuffled {SHUFFLED[test.null]} reach "
        f"{test.observed:.3f} (p = {test.p_value:.3f})"
    )
    if 1 / (1 + test.permutations) > LEVEL:
        return f"{found}: no p below {LEVEL:g} is possible with fewer than 19 permutations"
    if test.p_value <= LEVEL:
        return f"{found}: at the 5 % level {CLAIMED[test.null].format(teller=teller(test.selected))}"
    return f"{found}: at the 5 % level this can be chance"


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
