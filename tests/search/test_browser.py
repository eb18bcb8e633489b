"""A real browser on both pages, as a user opens them."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from playwright.sync_api import expect, sync_playwright

from mlflow_server.launch import free_port
from search.contact_sheet import heldout_sheet
from search.dashboard import artifact_store, attach_pictures, save_trial_note, trial_note
from search.figures import confusion_figure, roc_figure, save_figure
from search.links import run_path, run_url, runs_url, trial_runs_url
from search.ui import serve
from tests.chromium import ARGUMENTS, CHROMIUM, NEEDS_CHROMIUM

pytestmark = NEEDS_CHROMIUM
PATIENCE = 60_000


def draw(folder, number):
    """The three pictures of one trial, of made-up scores."""
    rng = np.random.default_rng(number)
    label, fold = rng.integers(0, 2, 40), np.arange(40) % 3
    probability = np.clip(0.35 + 0.2 * label + rng.normal(0, 0.2, 40), 0, 1)
    patches = rng.normal(size=(40, 17, 17)) + np.hanning(17)[:, None] * np.hanning(17) * 3
    title = f"Trial {number}: small_cnn, adam 0.001"
    captions = [f"#{row}" for row in range(40)]
    figures = {
        "roc": roc_figure(label, probability, fold, title),
        "confusion": confusion_figure(label, (probability > 0.5).astype(np.int64), title),
        "heldout": heldout_sheet(patches, label, probability, captions, "T1Gd", title),
    }
    return {
        name: save_figure(figure, folder / str(number) / f"{name}.png") for name, figure in figures.items()
    }


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A home with three finished trials, in Optuna and as nested MLflow runs; the ids of the runs."""
    root = tmp_path_factory.mktemp("home")
    uri = f"sqlite:///{root / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("demo", artifact_location=(root / "mlartifacts").as_uri())

    def run(name, level, parent=None):
        tags = {"mlflow.runName": name, "level": level} | ({"mlflow.parentRunId": parent} if parent else {})
        return client.create_run(experiment, tags=tags).info.run_id

    storage = JournalStorage(JournalFileBackend(str(root / "optuna.journal")))
    study = optuna.create_study(study_name="demo", storage=storage, direction="maximize")
    top = run("demo", "study")
    runs = {}
    for _ in range(3):
        trial = study.ask()
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        run_id = run(f"trial {trial.number}", "trial", top)
        runs["demo", trial.number] = experiment, run_id
        for fold in range(2):
            client.set_terminated(run(f"trial {trial.number} fold {fold}", "fold", run_id))
        client.log_metric(run_id, "roc_auc", 0.5 + rate)
        client.set_terminated(run_id)
        pictures = attach_pictures(study, trial, artifact_store(root / "artifacts"), draw(root, trial.number))
        note = trial_note([f"**ROC AUC {0.5 + rate:.3f}**"], pictures, run_path("demo", trial.number))
        study.tell(trial, 0.5 + rate)
        save_trial_note(study, trial, note)
    client.set_terminated(top)
    return root, uri, storage, runs


@pytest.fixture(scope="module")
def addresses(tracked):
    """The addresses of the dashboard and of MLflow, both served over the home."""
    root, uri, storage, runs = tracked
    stop, lines = threading.Event(), []
    ports = (free_port(0), free_port(0))
    served = threading.Thread(
        target=serve,
        args=(storage, root / "artifacts", uri, root / "mlartifacts", root / "logs", *ports),
        kwargs={"announce": lines.append, "stop": stop, "find_run": lambda *key: runs.get(key)},
    )
    served.start()
    deadline = time.monotonic() + 90
    while len(lines) < 3 and served.is_alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield [re.search(r"http://[^/ ]+", line).group() for line in lines[:2]]
    stop.set()
    served.join(30)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1500, "height": 1300})
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    yield page
    page.close()


def shoot(page, name):
    """Keep a picture of the page where RADSEARCH_SHOTS names a folder."""
    if "RADSEARCH_SHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["RADSEARCH_SHOTS"]) / f"{name}.png")


def test_a_trial_shows_its_pictures_inline_and_links_to_its_run(page, addresses, tracked):
    dashboard, mlflow = addresses
    page.goto(f"{dashboard}/dashboard/studies/0/trials?numbers=2")
    for name in ("roc", "confusion", "heldout"):
        picture = page.locator(f"img[alt='{name}']").first
        expect(picture).to_be_visible()
        page.wait_for_function("picture => picture.naturalWidth > 400", arg=picture.element_handle())
    shoot(page, "dashboard_trial")
    page.get_by_role("link", name="Open this trial in MLflow").click()
    page.wait_for_url(run_url(mlflow, *tracked[3]["demo", 2]))
    expect(page.get_by_role("heading", name="trial 2")).to_be_visible()
    expect(page.get_by_role("link", name="trial 2 fold 1")).to_be_visible()
    shoot(page, "mlflow_trial")


def test_mlflow_nests_folds_in_trials_in_the_study(page, addresses, tracked):
    page.goto(runs_url(addresses[1], tracked[3]["demo", 2][0]))
    for name in ("demo", "trial 2"):
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))
        row.get_by_role("button").first.click()
    for name in ("trial 0", "trial 1", "trial 2 fold 0", "trial 2 fold 1"):
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    shoot(page, "mlflow_nested_runs")


def test_the_page_of_trials_lists_trials_alone(page, addresses, tracked):
    page.goto(trial_runs_url(addresses[1], tracked[3]["demo", 2][0]))
    for number in range(3):
        expect(page.get_by_role("link", name=f"trial {number}", exact=True)).to_be_visible()
    expect(page.get_by_text("3 matching runs")).to_be_visible()
    expect(page.get_by_role("gridcell").get_by_role("link", name="demo", exact=True)).to_have_count(0)
    shoot(page, "mlflow_trials")
