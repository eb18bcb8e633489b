from __future__ import annotations

import json
import math
import os
import re
import shutil
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from playwright.sync_api import sync_playwright

from search.booking import FOLD
from search.report.plots import (
    embed,
    history_plot,
    importances_plot,
    parallel_plot,
    plotly_js,
    slice_plot,
)
from search.statistics.predictions import predictions_of
from tests.search.report.drawn import ODD

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARCHITECTURES = CategoricalDistribution(("roi_means", ODD))
PLOTS = (lambda study: history(study), importances_plot, parallel_plot, slice_plot)


@pytest.fixture
def make(make_fold):
    """A study of so many trials with two parameters, the second of one architecture alone.

    Trials of the same number in `said` predict the same.
    """

    def build(
        trials: int, metric: str = "roc_auc", direction: str = "maximize", value=None, said=None
    ) -> optuna.Study:
        study = optuna.create_study(direction=direction)
        study.set_user_attr("metric", metric)
        rng = np.random.default_rng(0)
        for number in range(trials):
            scores = np.random.default_rng(number if said is None else said[number])
            size = {"trainable_parameters": 10 * (trials - number)}
            folds = {
                f"{FOLD}{k}": make_fold(k, probabilities=tuple(scores.random(16)), **size).to_json()
                for k in range(3)
            }
            params = {"architecture": ARCHITECTURES.choices[number % 2]}
            distributions = {"architecture": ARCHITECTURES}
            if number % 2:
                params["learning_rate"] = float(10 ** rng.uniform(-4, -1))
                distributions["learning_rate"] = FloatDistribution(1e-5, 1e-1, log=True)
            found = float(rng.uniform(0.4, 0.7)) if value is None else value
            study.add_trial(
                optuna.create_trial(
                    value=found, params=params, distributions=distributions, system_attrs=folds
                )
            )
        return study

    return build


def history(study: optuna.Study):
    return history_plot(study, predictions_of(study))


def named(figure):
    return {trace.name: trace for trace in figure.data}


def test_the_history_has_every_value_and_the_best_so_far(make) -> None:
    study = make(20)
    values = [trial.value for trial in study.trials]
    traces = named(history(study))
    assert list(traces["trial"].y) == values
    assert list(traces["best so far"].y) == np.maximum.accumulate(values).tolist()
    assert list(traces["best so far"].x) == list(range(20))


def test_the_best_of_a_metric_that_is_better_when_lower_is_the_lowest(make) -> None:
    study = make(9, metric="brier", direction="minimize")
    traces = named(history(study))
    assert list(traces["best so far"].y) == np.minimum.accumulate([t.value for t in study.trials]).tolist()
    assert "expected best without any signal" not in traces


def test_the_dashed_line_is_the_expected_best_of_so_many_trials_without_signal(make) -> None:
    line = named(history(make(12)))["expected best without any signal"]
    error = math.sqrt(17 / (12 * 8 * 8) / 3)  # three folds of 8 positives and 8 negatives
    assert line.y[0] == pytest.approx(0.5, abs=1e-6)
    assert line.y[1] == pytest.approx(0.5 + error / math.sqrt(math.pi), abs=1e-6)
    assert line.y[2] == pytest.approx(0.5 + error * 1.5 / math.sqrt(math.pi), abs=1e-6)
    assert line.line.dash == "dash"


def test_trials_that_failed_or_were_pruned_count_as_looks(make) -> None:
    study = make(3)
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.PRUNED))
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.FAIL))
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.WAITING))
    line = named(history(study))["expected best without any signal"]
    assert list(line.x) == [0, 1, 2, 3, 4]
    assert list(line.customdata) == [1, 2, 3, 4, 5]
    assert list(line.y) == list(named(history(make(5)))["expected best without any signal"].y)


def test_trials_that_predict_the_same_are_one_look(make) -> None:
    study, once = make(6, said=[7, 7, 8, 7, 8, 9]), make(3)
    line = named(history(study))["expected best without any signal"]
    assert list(line.customdata) == [1, 1, 2, 2, 2, 3]
    three = named(history(once))["expected best without any signal"].y
    assert list(line.y) == [three[looks - 1] for looks in (1, 1, 2, 2, 2, 3)]


def test_too_few_trials_or_one_value_have_no_plot(make) -> None:
    assert all(plot(make(1)) is None for plot in PLOTS)
    assert importances_plot(make(9)) is None
    assert all(plot(make(20, value=0.5)) is None for plot in PLOTS[1:])


def test_importances_are_shares_of_every_searched_parameter(make) -> None:
    bars = importances_plot(make(30)).data[0]
    assert set(bars.y) == {"architecture", "learning_rate"}
    assert sum(bars.x) == pytest.approx(1)


def test_a_line_of_the_parallel_plot_is_a_trial_also_where_a_parameter_does_not_apply(make) -> None:
    figure = parallel_plot(make(20))
    assert len(figure.data) == 21
    assert list(figure.layout.xaxis.ticktext) == ["roc_auc", "architecture", "learning_rate"]
    assert "not used" in {note.text for note in figure.layout.annotations}


def test_the_best_trial_is_the_darkest_line_in_either_direction(make) -> None:
    for direction, best in (("maximize", 1.0), ("minimize", 0.0)):
        lines = parallel_plot(make(20, direction=direction)).data[:-1]
        (dark,) = [line for line in lines if line.line.color == "rgb(8, 48, 107)"]
        assert dark.y[0] == best


def test_slices_have_the_trials_in_which_the_parameter_was_in_force(make) -> None:
    study = make(20)
    first, second = slice_plot(study).data
    assert list(first.y) == [trial.value for trial in study.trials]
    assert list(second.x) == [t.params["learning_rate"] for t in study.trials if "learning_rate" in t.params]
    assert slice_plot(study).layout.xaxis2.type == "log"


def test_an_embedded_plot_loads_nothing_and_holds_no_name_as_markup(make) -> None:
    for plot in PLOTS:
        part = embed(plot(make(20)), "a-plot")
        assert 'id="a-plot"' in part
        assert not re.search(r"https?://|src=|<link|@import", part)
        assert "<b>" not in part
    assert "</script" not in plotly_js().lower()


def test_an_embedded_plot_is_the_same_bytes_each_time(make) -> None:
    study = make(20)
    assert [embed(plot(study), "p") for plot in PLOTS] == [embed(plot(study), "p") for plot in PLOTS]


@pytest.mark.parametrize("name", ["", "1a", 'a"b', "a b"])
def test_a_name_that_is_no_id_is_refused(make, name) -> None:
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        embed(history(make(3)), name)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH")
def test_a_browser_draws_every_plot_offline_and_none_is_wider_than_a_phone(make, tmp_path: Path) -> None:
    study = make(30)
    parts = [embed(plot(study), f"plot-{k}") for k, plot in enumerate(PLOTS)]
    page = tmp_path / "page.html"
    head = f"<!doctype html><meta charset=utf-8><script>{plotly_js()}</script><body style='margin:8px'>"
    page.write_text(head + "".join(parts), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 380, "height": 800})
        tab.context.set_offline(True)
        asked, errors = [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(page.as_uri())
        tab.wait_for_function("document.querySelectorAll('.main-svg').length >= 4")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 380
        shown = tab.evaluate("[...document.querySelectorAll('#plot-3 text')].map(e => e.textContent)")
        if "RADSEARCH_SHOTS" in os.environ:
            tab.screenshot(path=Path(os.environ["RADSEARCH_SHOTS"]) / "plots.png", full_page=True)
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    assert errors == []
    assert any(text.startswith('<b>&"$x$ w') for text in shown), json.dumps(shown)
