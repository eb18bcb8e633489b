"""The sections on how the search went: its course, what mattered, what it cost, every trial."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from search.booking import finished_folds, is_superseded, key_of, settings_of
from search.facts import ending_of, message_of
from search.metrics import DIRECTIONS, pooled_metrics
from search.report import plots
from search.report.blocks import Cell, Command, Live, Picture, Section, Table, Text
from search.report.curves_figure import curves_figure
from search.report.evidence import Evidence
from search.report.importance_figure import importance_figure
from search.report.phrases import counted, named

SHOWN_CURVES = 3  # trials whose learning curves are drawn: the first of those selected
Draw = Callable[[Evidence], go.Figure | None]
PLOTS: tuple[tuple[str, Draw, str], ...] = (
    (
        "history",
        lambda evidence: plots.history_plot(evidence.study, evidence.predictions),
        "Every trial in order, and the best so far.",
    ),
    (
        "parameters",
        lambda evidence: plots.importances_plot(evidence.study),
        "Which parameters tell good trials from the others (PED-ANOVA).",
    ),
    (
        "parallel",
        lambda evidence: plots.parallel_plot(evidence.study),
        "Each line a trial: its parameters and its value.",
    ),
    (
        "slices",
        lambda evidence: plots.slice_plot(evidence.study),
        "Each dot a trial: its value by one parameter at a time.",
    ),
)
OF_CHANCE = (
    "The dashed line is the expected best of as many distinct configurations without any signal, if trials "
    "and biopsies were independent; not a test."
)


def search_section(evidence: Evidence) -> Section:
    """The course of the search, interactive."""
    told = Text(
        "Values here are each trial's own, on the folds that the search looks at: their maximum is the naive "
        "figure.",
        "note",
    )
    use = Text("Point at, drag and double-click the plots to read, zoom and reset.", "note live")
    printed = Text(
        "The plots of the search are interactive and not printed; the ledger has its trials.", "print"
    )
    shown = [
        Live(name, plots.embed(figure, name), _with_chance(caption, figure))
        for name, figure, caption in ((n, draw(evidence), c) for n, draw, c in PLOTS)
        if figure is not None
    ]
    if not shown:
        return Section.of(
            "search", "The search", Text("Too few trials are complete for plots of the search.", "note")
        )
    return Section.of("search", "The search", told, use, printed, *shown)


def _with_chance(caption: str, figure: go.Figure) -> str:
    """The caption, with what the line of chance is where the figure has one."""
    drawn = any(trace.name == plots.EXPECTED for trace in figure.data)
    return f"{caption} {OF_CHANCE}" if drawn else caption


def importance_section(evidence: Evidence) -> Section:
    """How much a selected trial that reads images leans on each sequence."""
    found, title = evidence.importance, "Importance of each sequence"
    selected = evidence.honest.trials if evidence.honest else ()
    if found is None or found.trial not in selected:
        return Section.of(
            "importance",
            title,
            Command(
                "It was not measured. To fit a selected trial again:",
                f"radsearch report {evidence.name} --out DIR",
            ),
        )
    caption = (
        f"Loss of AUC within folds of trial {found.trial} when the held-out biopsies of a fold exchange one "
        f"sequence among them ({found.copies} times): a bar is the loss over the pairs of all folds, a dot "
        "that of one fold. Sequences that tell the same stand in for each other, so that a small loss does "
        "not mean that a sequence is useless."
    )
    rows = [
        (
            found.sequences[i],
            found.total[i],
            min(found.drops[i], default=None),
            max(found.drops[i], default=None),
        )
        for i in found.order
    ]
    table = Table(
        "importance",
        f"Loss of AUC by sequence, of {found.roc_auc:.3f} with all of them"
        if found.roc_auc is not None
        else "Loss of AUC",
        ("sequence", "loss of AUC", "least over folds", "largest over folds"),
        tuple(rows),
    )
    unused = None
    if found.roc_auc is not None and not np.any(found.drops):
        unused = Text(f"Trial {found.trial} takes no notice of any sequence.")
    return Section.of(
        "importance", title, unused, Picture("importance", importance_figure(found), caption), table
    )


def curves_section(evidence: Evidence) -> Section:
    """How the selected trials learned; nothing for models without epochs."""
    title = "Learning curves"
    numbers = evidence.honest.trials[:SHOWN_CURVES] if evidence.honest else ()
    figure = curves_figure({f"trial {number}": evidence.folds_of(number) for number in numbers})
    if figure is None:
        return Section.of(
            "curves", title, Text("The selected models have no epochs, so no learning curves.", "note")
        )
    caption = "Curves of the selected trials over their folds; upright lines are the epochs that scored."
    return Section.of("curves", title, Picture("curves", figure, caption))


def cost_section(evidence: Evidence) -> Section:
    """What the search cost, by device."""
    return Section.of("cost", "Cost", cost_table(evidence))


def cost_table(evidence: Evidence) -> Table:
    """Hours of every finished fold by the device that it ran on."""
    seconds, folds, trials = (
        defaultdict[str, float](float),
        defaultdict[str, int](int),
        defaultdict[str, set[int]](set),
    )
    for trial in evidence.counted:
        for fold in finished_folds(trial).values():
            seconds[fold.device] += fold.seconds
            folds[fold.device] += 1
            trials[fold.device].add(trial.number)
    rows: list[tuple[Cell, ...]] = [
        (
            device,
            "CPU" if device.startswith("CPU") else "GPU",
            len(trials[device]),
            folds[device],
            time / 3600,
        )
        for device, time in sorted(seconds.items())
    ]
    return Table(
        "cost",
        "Hours of fitting by device, of all trials, also those that were pruned or failed later",
        ("device", "kind", "trials", "folds", "hours"),
        tuple(rows),
        note="Wall-clock time of finished folds; a fold that was cut off is not counted.",
        digits=4,
    )


def trials_section(evidence: Evidence) -> Section:
    """Every trial that was handed out, however it ended."""
    ended = defaultdict[str, int](int)
    for trial in evidence.trials:
        ended[ending(trial)] += 1
    told = ", ".join(f"{number} {name}" for name, number in sorted(ended.items(), key=lambda item: -item[1]))
    return Section.of(
        "trials",
        "Ledger of trials",
        Text(
            f"{counted(len(evidence.counted), 'trial')} counted as handed out, whatever became of them: "
            f"{told}. A trial that crashed counts; one whose process was lost is taken up by a copy and "
            "counts once.",
        ),
        trials_table(evidence),
    )


def trials_table(evidence: Evidence) -> Table:
    """Every trial with its settings, its metrics and its end."""
    parameters = sorted({name for trial in evidence.trials for name in settings_of(trial)})
    first = evidence.definition.search.metric
    metrics = (first, *(name for name in DIRECTIONS if name != first))
    columns = ("trial", "ended", "folds", named(first), *parameters, *map(named, metrics[1:]))
    rows = tuple(tuple(_trial_cells(trial, parameters, metrics)) for trial in _ordered(evidence))
    return Table(
        "trials",
        "Trials in order of value",
        (*columns, "seconds", "weights", "copy of", "message"),
        rows,
        note="Metrics of a trial that did not complete are of the folds that it finished.",
        shown=30,
    )


def ending(trial: FrozenTrial) -> str:
    """How a trial ended, in a word or two."""
    if is_superseded(trial):
        return "taken up by a copy"
    if not trial.state.is_finished():
        return trial.state.name.lower()
    return ending_of(trial).cause


def _ordered(evidence: Evidence) -> list[FrozenTrial]:
    """Complete trials from the best on, then the others in order."""
    sign = -1 if DIRECTIONS[evidence.definition.search.metric] == "maximize" else 1
    done = [t for t in evidence.trials if t.state == TrialState.COMPLETE and t.value is not None]
    others = [t for t in evidence.trials if t not in done]
    return sorted(done, key=lambda t: (sign * float(t.value or 0.0), t.number)) + others


def _trial_cells(trial: FrozenTrial, parameters: list[str], names: tuple[str, ...]) -> Iterator[Cell]:
    folds, settings = list(finished_folds(trial).values()), settings_of(trial)
    metrics = pooled_metrics([fold.scores for fold in folds])
    yield trial.number
    yield ending(trial)
    yield len(folds)
    yield metrics[names[0]]
    yield from (_setting(settings.get(name)) for name in parameters)
    yield from (metrics[name] for name in names[1:])
    yield sum(fold.seconds for fold in folds) if folds else None
    yield folds[0].trainable_parameters if folds else None
    yield None if key_of(trial) == trial.number else key_of(trial)
    yield message_of(trial) or None if trial.state.is_finished() else None


def _setting(value: object) -> Cell:
    """A parameter's value; small numbers keep their digits."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    return f"{value:.4g}"
