from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from search.links import home_url, is_server, public_address, run_path, run_url, runs_url, trial_runs_url

BASE = "http://127.0.0.1:5000"


def test_the_page_of_trials_carries_filter_and_order_behind_the_hash():
    page, _, query = trial_runs_url(BASE, "7", "brier", ascending=True).partition("?")
    assert page == f"{BASE}/#/experiments/7/runs"
    assert parse_qs(query) == {
        "workflowType": ["machine_learning"],
        "searchFilter": ["tags.level = 'trial'"],
        "orderByKey": ["metrics.`brier`"],
        "orderByAsc": ["true"],
    }


@pytest.mark.parametrize("base", [BASE, f"{BASE}/", "http://anna:secret@127.0.0.1:5000/"])
def test_a_page_has_one_address_without_double_slash_or_password(base):
    mode = "?workflowType=machine_learning"
    assert home_url(base) == f"{BASE}/#/experiments{mode}"
    assert runs_url(base, "7") == f"{BASE}/#/experiments/7/runs{mode}"
    assert run_url(base, "7", "abc") == f"{BASE}/#/experiments/7/runs/abc{mode}"


def test_a_server_below_a_path_keeps_the_path():
    assert public_address("https://anna:secret@lab.example/mlflow/") == "https://lab.example/mlflow"


@pytest.mark.parametrize("uri", ["sqlite:////home/a/mlflow.db", "/home/a/mlruns", "postgresql://db/mlflow"])
def test_only_http_is_a_server(uri):
    assert not is_server(uri)
    assert is_server("https://mlflow.lab")


def test_the_path_of_a_run_on_the_dashboard_names_study_and_trial():
    assert run_path("cd3d-search", 3) == "/mlflow/cd3d-search/3"
