"""The search as interactive plots: what each trial scored, and with which parameters.

References:
    Watanabe S et al. (2023), "PED-ANOVA", IJCAI: importance of parameters, conditional ones among them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, TypeGuard

import numpy as np
import optuna
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import StudyDirection
from optuna.visualization import plot_parallel_coordinate, plot_param_importances
from plotly.colors import sample_colorscale
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from search.booking import counts, finished_folds
from search.metrics import DIRECTIONS, Ints
from search.report.logical_study import completed, logical_study
from search.report.style import BLUE, CHANCE, FAINT, INK, VERMILION
from search.report.winners_curse import expected_maximum, null_error
from search.statistics.predictions import Predictions
from search.statistics.selection import distinct

FEWEST: Final = 2
TOP_TRIALS: Final = 5  # as many good trials as Optuna asks for before it calls an importance stable
COLUMNS: Final = 3
# In pixels.
HEIGHT, SLICE_HEIGHT, SLICE_GAP, BAR_HEIGHT = 380, 290, 120, 34
TOP, FOOT = 30, 65
LETTERS: Final = 18
AXIS_WIDTH: Final = 110  # pixels that an axis of the parallel plot needs
SLICE_WIDTH: Final = 220
FONT: Final = {"family": "system-ui, sans-serif", "size": 13, "color": INK}
CONFIG: Final = {"responsive": True, "displaylogo": False, "plotlyServerURL": "", "topojsonURL": ""}
GRID: Final = "#e4e4e4"
EXPECTED: Final = "expected best without any signal"
SCALE: Final = ("#9ecae1", "#4292c6", "#08306b")  # blues that stand out from white


def history_plot(study: optuna.Study, predictions: Predictions | None) -> go.Figure | None:
    """Every complete trial's value, the best so far, and the best that chance alone would show by then.

    The dashed line is 0.5 + SE E[max of t standard normals] after t distinct configurations, SE that of an
    AUC of these folds without signal: what a search finds where there is nothing to find. Trials are taken to
    be independent, as are biopsies; related trials gain less, related biopsies more. It is no test.

    Args:
        study: The study.
        predictions: Of its complete trials: those that predict the same count once. None: all count.

    Returns:
        None with fewer than two complete trials.
    """
    trials, metric = completed(study), _metric(study)
    if len(trials) < FEWEST:
        return None
    numbers, values = [t.number for t in trials], np.array([t.value for t in trials], dtype=np.float64)
    lowest = DIRECTIONS.get(metric) == "minimize"
    best = (np.minimum if lowest else np.maximum).accumulate(values)
    hover = f"trial %{{x}}<br>{_escaped(metric)} %{{y:.3f}}<extra></extra>"
    figure = go.Figure()
    figure.add_scatter(
        x=numbers,
        y=values,
        mode="markers",
        name="trial",
        marker={"color": BLUE, "size": 7},
        hovertemplate=hover,
    )
    look = {"color": VERMILION, "width": 2.5, "shape": "hv"}
    figure.add_scatter(x=numbers, y=best, mode="lines", name="best so far", line=look, hoverinfo="skip")
    error = null_error(finished_folds(trials[0]).values(), metric)
    if error is not None:
        _add_chance(figure, study, predictions, error)
    figure.update_xaxes(title="Trial")
    figure.update_yaxes(title=_escaped(metric))
    return _finished(figure, HEIGHT, f"{metric} of each trial and the best so far")


def _add_chance(
    figure: go.Figure, study: optuna.Study, predictions: Predictions | None, error: float
) -> None:
    """One half, and the expected best without signal after each trial that was handed out."""
    handed = [t.number for t in study.get_trials(deepcopy=False) if counts(t)]
    looks = _looks(handed, predictions)
    expected = CHANCE + error * expected_maximum(int(looks[-1]))[looks - 1]
    look = {"color": INK, "width": 2, "dash": "dash"}
    hover = (
        "expected best by chance of %{customdata} distinct configurations: %{y:.3f}"
        "<extra>if independent; not a test</extra>"
    )
    figure.add_scatter(
        x=handed,
        y=expected,
        customdata=looks,
        mode="lines",
        name=EXPECTED,
        line=look,
        hovertemplate=hover,
    )
    figure.add_hline(y=CHANCE, line={"color": FAINT, "width": 1.2, "dash": "dot"})


def _looks(handed: list[int], predictions: Predictions | None) -> Ints:
    """How many distinct configurations were handed out by each trial.

    A trial without predictions of every biopsy, as one that was pruned, counts: its value might have been
    the best.
    """
    again: set[int] = set()
    if predictions is not None:
        # With all of one size, the first trial of those that predict the same stands for them.
        firsts = distinct(replace(predictions, parameters=np.zeros(len(predictions.trials))))
        again = set(predictions.trials) - {predictions.trials[index] for index in firsts}
    return np.cumsum([number not in again for number in handed], dtype=np.int64)


def importances_plot(study: optuna.Study) -> go.Figure | None:
    """How much each parameter tells good trials from the others, by PED-ANOVA.

    Good are the best tenth of the trials, and five at least.

    Returns:
        None with fewer than twice five complete trials, one value, or nothing that varied.
    """
    known = _drawable(study)
    if known is None or len(known.trials) < 2 * TOP_TRIALS:
        return None
    quantile = max(0.1, TOP_TRIALS / len(known.trials))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    figure = plot_param_importances(known, evaluator=evaluator, target_name="")
    figure.update_layout(title=None, showlegend=False)
    figure.update_traces(marker={"color": BLUE})
    shares = figure.data[0].x
    figure.update_xaxes(title="Share of importance", range=(0, 1.2 * max(shares)))
    figure.update_yaxes(ticktext=list(map(_short, figure.data[0].y)), tickvals=list(figure.data[0].y))
    figure.update_yaxes(title=None)
    names = len({name for trial in known.trials for name in trial.params})
    return _finished(figure, 120 + BAR_HEIGHT * names, "Importance of each parameter of the search")


def parallel_plot(study: optuna.Study) -> go.Figure | None:
    """A line a trial through its value and its parameters, darker where the value is better.

    Returns:
        None with fewer than two complete trials, one value, or nothing that varied.
    """
    known = _drawable(study)
    if known is None:
        return None
    figure = plot_parallel_coordinate(known, target_name=_escaped(_metric(study)))
    figure.update_layout(title=None)
    for trace in figure.data[:-1]:
        place = trace.y[0] if known.direction == StudyDirection.MAXIMIZE else 1 - trace.y[0]
        trace.line.color = sample_colorscale(SCALE, place)[0]
    figure.data[-1].marker.colorscale = SCALE
    for note in figure.layout.annotations:
        note.text = "not used" if note.text == "None" else _short(note.text)
    names = figure.layout.xaxis.ticktext
    figure.update_xaxes(ticktext=[_short(name) for name in names], tickangle=0)
    least = AXIS_WIDTH * (len(names) + 1)
    return _finished(figure, HEIGHT + 40, "Parameters and value of each trial", least)


def slice_plot(study: optuna.Study) -> go.Figure | None:
    """The trials' values against each parameter, one at a time; early trials pale, late ones dark.

    Returns:
        None with fewer than two complete trials, one value, or nothing that varied.
    """
    known = _drawable(study)
    if known is None:
        return None
    domains = {name: d for trial in known.trials for name, d in trial.distributions.items()}
    columns = min(COLUMNS, len(domains))
    rows = -(-len(domains) // columns)
    height = TOP + SLICE_HEIGHT * rows
    between = {"vertical_spacing": SLICE_GAP / (height - TOP - FOOT), "horizontal_spacing": 0.04}
    figure = make_subplots(rows, columns, shared_yaxes=True, **between)
    for index, name in enumerate(sorted(domains)):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        figure.add_trace(_slice(known, name), **place)
        figure.update_xaxes(title=_short(name), **_scale(domains[name]), **place)
        if index % columns == 0:
            figure.update_yaxes(title=_escaped(_metric(study)), **place)
    figure.update_layout(showlegend=False)
    title = "Value of each trial against each parameter"
    return _finished(figure, height, title, least=SLICE_WIDTH * columns)


def _scale(domain: BaseDistribution) -> dict[str, Any]:
    """The axis of one parameter: its choices in their order, or numbers."""
    if isinstance(domain, CategoricalDistribution):
        listed = sorted(domain.choices, key=float) if _are_numbers(domain.choices) else domain.choices
        names = [str(choice) for choice in listed]
        shown = {"tickvals": names, "ticktext": list(map(_short, names)), "tickangle": -40}
        return {"type": "category", "categoryorder": "array", "categoryarray": names} | shown
    if getattr(domain, "log", False):
        return {"type": "log", "dtick": 1, "exponentformat": "e"}
    return {"type": "linear", "nticks": 6}


def _slice(study: optuna.Study, name: str) -> go.Scatter:
    """The trials in which one parameter was in force."""
    shown = [trial for trial in study.trials if name in trial.params]
    numbers = [trial.user_attrs["number"] for trial in shown]
    listed = isinstance(shown[0].distributions[name], CategoricalDistribution)
    x = [str(trial.params[name]) if listed else trial.params[name] for trial in shown]
    marker = {"color": numbers, "colorscale": SCALE, "size": 8, "line": {"color": FAINT, "width": 0.6}}
    hover = "trial %{customdata}<br>%{x}: %{y:.3f}<extra></extra>"
    values = [trial.value for trial in shown]
    return go.Scatter(x=x, y=values, customdata=numbers, mode="markers", marker=marker, hovertemplate=hover)


def _are_numbers(choices: Iterable[object]) -> TypeGuard[Iterable[float]]:
    return all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices)


def _escaped(text: str) -> str:
    """Text that Plotly shows as it is; it reads HTML, but knows no quotation marks in it."""
    return html.escape(text, quote=False)


def _short(escaped: str) -> str:
    """The beginning of a name or text that Plotly reads as HTML."""
    text = html.unescape(escaped)
    return escaped if len(text) <= LETTERS else _escaped(f"{text[: LETTERS - 1]}…")


def _metric(study: optuna.Study) -> str:
    return str(study.user_attrs.get("metric", "value"))


def _drawable(study: optuna.Study) -> optuna.Study | None:
    """The study by its logical names; None where there is nothing to compare."""
    known = logical_study(study)
    values = {trial.value for trial in known.trials}
    return known if len(values) >= FEWEST and any(trial.params for trial in known.trials) else None


def _finished(figure: go.Figure, height: int, title: str, least: int = 0) -> go.Figure:
    """The look that all share; `meta` tells `embed` the title and the least width in pixels."""
    figure.update_layout(
        template="none",
        width=None,
        height=height,
        autosize=True,
        font=FONT,
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 60, "r": 20, "t": TOP, "b": FOOT},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"bgcolor": "white"},
        meta={"title": title, "least": least},
    )
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True, "linecolor": FAINT}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def embed(figure: go.Figure, name: str) -> str:
    """The figure as a part of a page that has `plotly_js()` before it: nothing is loaded, nothing moves.

    It is as wide as its place, and scrolls sideways where that is narrower than the figure can be read in.

    Args:
        figure: As one of this module made it.
        name: Unique on the page; letters, digits and hyphens.

    Raises:
        ValueError: The name is none.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
        raise ValueError(f"a name of letters, digits and hyphens is needed, but got {name!r}")
    meta = figure.layout.meta or {}
    part = figure.to_html(config=CONFIG, include_plotlyjs=False, full_html=False, div_id=name)
    title = html.escape(str(meta.get("title", name)), quote=True)
    inner = f'<div style="min-width:{int(meta.get("least", 0))}px">{part}</div>'
    style = "overflow-x:auto;background:#fff"
    return f'<div class="plot" role="group" aria-label="{title}" style="{style}">{inner}</div>'


def plotly_js() -> str:
    """Plotly's own code, to be put once into a page, in a script element before the first figure."""
    return str(get_plotlyjs())
