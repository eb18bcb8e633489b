"""`radsearch nested STUDY.toml`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import optuna
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from data_prep.folds import FoldTable, Split
from data_prep.problems import InputError, Problems
from models.registry import BASELINES
from search.audit.looks import look_at
from search.home import Home
from search.material import Material, prepare
from search.opening import study_id
from search.placement import Placement
from search.recorded import definition_of, recorded_study
from search.refits.configurations import draw_configurations, hypermodels_asked
from search.refits.fit import context_of
from search.refits.forecast import fits_counted, forecast, pace_of, seconds_of
from search.refits.ledger import FitLedger
from search.refits.nested import Nested, write_nested
from search.refits.nesting import Validated, inner_tables, outer_table, validate
from search.refits.pipeline import Chooser, fitter_of
from search.refits.protocol import protocol_hash
from search.refits.reduction import first_in_line
from search.refits.selected import selected_text
from search.sections import LabelSection
from search.statistics.performance import Measured, informative_pairs, performance
from search.statistics.selection import Rule
from search.storage import storage_told
from search.study_file import Study, read_study
from search.terminal import counting, placed, say
from search.versions import software_versions
from search.widening import CHANGES

CLAIM = ("label", "validation", "input", "space")  # sections of a study file
MOST, MOST_DEEP = 100, 20  # configurations, of shallow models and of networks (SCIENCE E6)


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Validate a study file's search as a whole."""
    study = read_study(Path(args.study), args.set, Path(args.cohort) if args.cohort else None)
    count = configurations_of(study, args.configurations)
    home = Home.at(args.home)
    placements = placed(args.workers, args.gpus, args.slots_per_gpu, args.require_gpu)
    recorded = _recorded(home, args.storage, study.name)
    check_recorded(study, home, recorded)
    home.check_writable(study.name)
    with counting("reading volumes: participant") as progress:
        material = prepare(study, home, frozen=True, progress=progress)
    table = outer_table(material, study.validation, args.repeats)
    inner = inner_tables(material, table, args.inner, study.validation.seed)
    with hypermodels_asked(study, home, material, placements[0]) as composer:
        configs = draw_configurations(study, count, study.search.seed, composer)
    rule = Rule(study.search.selection, study.search.top)
    chooser = Chooser(configs, rule, study.search.metric)
    seconds = seconds_of(configs, pace_of(recorded) if recorded else {})
    fits = len(table.splits()) * (count * args.inner + rule.members(count))
    _tell(f"{study.name}: up to {forecast(fits, 0, seconds, len(placements))}")
    found = _validated(chooser, study, home, material, table, inner, placements)
    nested = record_of(study, material, chooser, table, args, found, study_id(recorded) if recorded else "")
    write_nested(home.study(study.name), nested)
    if recorded:
        look_at(recorded, home, "nested")
    _print(nested, doubts(nested, study.label, recorded), args.json)
    return 0


def configurations_of(study: Study, asked: int | None) -> int:
    """How many configurations are searched.

    Raises:
        InputError: Networks are searched, and it was not said how many.
    """
    count = min(study.search.trials, MOST) if asked is None else asked
    networks = [name for name in study.parameters.architectures if name not in BASELINES]
    if asked is None and networks and count > MOST_DEEP:
        raise InputError(
            f"--configurations: {count} configurations of networks ({', '.join(networks)}) are each trained "
            f"in every inner fold; say how many there shall be, such as --configurations {MOST_DEEP}"
        )
    return count


def check_recorded(study: Study, home: Home, recorded: optuna.Study | None) -> None:
    """Refuse a study file that makes another claim than the study of its name in the home.

    Labels, folds, images and the space are to be the recorded ones, and what is enqueued is to be what stood
    in line when that search began: whoever has seen its results could choose all of these by them.

    Args:
        study: As the file has it.
        home: Where a study of that name may be.
        recorded: What Optuna has of that one; None where it is not at hand.

    Raises:
        InputError: They differ; a line a key.
    """
    if not home.study(study.name).definition.exists():
        return
    known, problems = definition_of(home, study.name), Problems()
    owner = f"study {study.name!r} of this home"
    before, now = (one.model_dump(mode="json", include=set(CLAIM)) for one in (known, study))
    for name in CLAIM:
        for key in {**before[name], **now[name]}:
            had, has = (one[name].get(key) for one in (before, now))
            if had != has:
                law = f"must stay {had!r}, as {owner} has it"
                problems.add(f"{name}.{key}", f"{law}, but got {has!r}. Use another name or --home")
    enqueued = [dict(params) for params in study.search.enqueue]
    first = known.search.enqueue
    if recorded is not None:
        first = first_in_line(recorded.get_trials(deepcopy=False), study.parameters)
    if any(params not in first for params in enqueued) or any(params not in enqueued for params in first):
        law = f"must stay {[dict(params) for params in first]!r}, with which {owner} began"
        problems.add("search.enqueue", f"{law}, but got {enqueued!r}. Use another name or --home")
    problems.raise_any()


def _recorded(home: Home, storage: str | None, name: str) -> optuna.Study | None:
    """The study of that name, where it was run in this home."""
    try:
        return recorded_study(home, storage, name)[0]
    except InputError:
        return None


def _validated(
    chooser: Chooser,
    study: Study,
    home: Home,
    material: Material,
    table: FoldTable,
    inner: tuple[tuple[Split, ...], ...],
    placements: tuple[Placement, ...],
) -> Validated:
    path = home.study(study.name).root / "refits" / "nested.jsonl"
    with FitLedger.open(path, context_of(study, material)) as ledger, fits_counted("fits:") as progress:
        fitter = fitter_of(ledger, study, home, material, placements, progress)
        return validate(chooser, material, table, inner, fitter)


def record_of(
    study: Study,
    material: Material,
    chooser: Chooser,
    table: FoldTable,
    args: argparse.Namespace,
    found: Validated,
    study_id: str,
) -> Nested:
    """The record of a finished validation; `study_id` is that of the recorded study, "" for none."""
    rule = {"name": chooser.rule.name, "top": chooser.rule.top}
    choices = {"configurations": len(chooser.configs), "inner": args.inner, "rule": rule}
    return Nested(
        study=study.name,
        metric=chooser.metric,
        rule=rule,
        configurations=len(chooser.configs),
        inner_folds=args.inner,
        outer_folds=table.n_folds,
        repeats=len(table.fold),
        table=table.hash,
        folds=found.folds,
        performance=performance(found.outputs, material.labels.value),
        informative_pairs=informative_pairs(found.outputs),
        fits=found.fits,
        failed=found.failed,
        fit_seconds=found.fit_seconds,
        overrides=tuple(args.set),
        protocol=protocol_hash(study, material, table.hash, metric=chooser.metric, **choices),
        versions=software_versions(),
        study_id=study_id,
        labels=material.labels_hash,
        patches=material.patches.hash,
    )


def _print(nested: Nested, doubts: Iterable[str], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(nested.record(), indent=2, allow_nan=False) + "\n")
        return
    console = Console()
    console.print(folds_table(nested))
    console.print(performance_table(nested))
    for line in (*remarks(nested), *doubts):
        say(line)


def folds_table(nested: Nested) -> Table:
    """A row an outer fold."""
    metric = nested.metric.replace("_", " ")
    changed = f" ({', '.join(nested.overrides)})" if nested.overrides else ""
    title = f"{nested.study}{changed}: {metric} of what was selected without the outer fold"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("fold", justify="right", no_wrap=True)
    table.add_column("selected")
    for column in ("inner", "outer"):
        table.add_column(column, justify="right", no_wrap=True)
    for fold in nested.folds:
        name = f"{fold.repeat}.{fold.fold}" if nested.repeats > 1 else str(fold.fold)
        table.add_row(name, selected_text(fold.settings), _value(fold.inner), _value(fold.outer))
    return table


def performance_table(nested: Nested) -> Table:
    """A row a metric."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    for column in ("value", "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, measured in nested.performance.items():
        table.add_row(name.replace("_", " "), _value(measured.value), _interval(measured))
    return table


def remarks(nested: Nested) -> list[str]:
    """What was found, in sentences."""
    metric, measured = nested.metric.replace("_", " "), nested.performance[nested.metric]
    overlap = f"mean overlap of two folds' selections {nested.overlap:.2f}"
    stable = "every outer fold selected the same" if nested.is_stable else f"outer folds differ: {overlap}"
    lines = [
        f"{metric} of the whole search, selection included: {_value(measured.value)} (95 % interval "
        f"{_interval(measured)}); {nested.informative_pairs} pairs of biopsies within participants tell of "
        "within participant auc",
        f"{nested.configurations} configurations x {nested.inner_folds} inner folds in each of "
        f"{len(nested.folds)} outer folds, selection {nested.rule['name']}; {stable}",
        "Intervals draw participants and keep the models: outer folds share training data, so that the true "
        "spread of an AUC is about 1.4 times theirs.",
    ]
    return [*lines, f"{nested.failed} of {nested.fits} fits failed"] if nested.failed else lines


def doubts(nested: Nested, label: LabelSection, recorded: optuna.Study | None) -> Iterator[str]:
    """What can make the result better than it is."""
    if nested.overrides:
        yield f"set on the command line, otherwise than in the file: {', '.join(nested.overrides)}"
    changed = recorded.user_attrs.get(CHANGES, ()) if recorded else ()
    if names := dict.fromkeys(str(change["parameter"]) for change in changed):
        yield (
            f"the space was changed after the search had begun ({', '.join(names)}): this must not have come "
            "from its results"
        )
    if recorded is None:
        yield (
            "the study is not recorded in this home: its space and the configurations that its file names "
            "must not come from results on this cohort"
        )
    if label.threshold_from == "training":
        return
    if label.definition.z_scores:
        yield (
            "several genes are z-scored by their means and standard deviations over the whole cohort: labels "
            "of training biopsies know the outer fold by these numbers"
        )
    if not label.definition.is_fixed:
        yield (
            "the cut is drawn through the whole cohort: labels of training biopsies know the outer fold by "
            'that one number; label.threshold_from = "training" draws it without'
        )


def _interval(measured: Measured) -> str:
    return f"{_value(measured.low)} to {_value(measured.high)}"


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
