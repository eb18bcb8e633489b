"""Addresses in the MLflow UI and, on the dashboard, the paths that lead there."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

TRIALS_FILTER = "tags.level = 'trial'"
# Without it the MLflow UI opens in the layout for language models, in which runs are hard to find.
TRAINING = "workflowType=machine_learning"


def is_server(uri: str) -> bool:
    """Whether a tracking URI names a running server rather than a database or a folder.

    >>> is_server("http://mlflow.lab:5000"), is_server("sqlite:////home/me/mlflow.db")
    (True, False)
    """
    return urlsplit(uri).scheme in ("http", "https")


def public_address(uri: str) -> str:
    """A server's address without the user name and password that its URI may carry, nor a slash at its end.

    >>> public_address("https://anna:secret@mlflow.lab/tracking/")
    'https://mlflow.lab/tracking'
    """
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def home_url(base: str) -> str:
    """The list of experiments.

    Args:
        base: Address of the MLflow UI, with or without a slash at its end.
    """
    return f"{public_address(base)}/#/experiments?{TRAINING}"


def runs_url(base: str, experiment_id: str) -> str:
    """The page of all runs of one experiment, folds within trials within the study."""
    return f"{_runs(base, experiment_id)}?{TRAINING}"


def trial_runs_url(base: str, experiment_id: str, metric: str = "roc_auc", ascending: bool = False) -> str:
    """The page of one experiment's trials alone, without studies and folds, the best first.

    Args:
        base: Address of the MLflow UI.
        experiment_id: As MLflow gave it.
        metric: What to sort by; sorted by time, MLflow would add the study and hide the trials within it.
        ascending: Whether less is better.

    References:
        MLflow 3.17: the page of runs keeps filter and order in the query behind the hash.
    """
    order = f"orderByKey={quote(f'metrics.`{metric}`', safe='')}&orderByAsc={str(ascending).lower()}"
    return f"{runs_url(base, experiment_id)}&searchFilter={quote(TRIALS_FILTER, safe='')}&{order}"


def run_url(base: str, experiment_id: str, run_id: str) -> str:
    """The page of one run."""
    return f"{_runs(base, experiment_id)}/{quote(run_id, safe='')}?{TRAINING}"


def _runs(base: str, experiment_id: str) -> str:
    return f"{public_address(base)}/#/experiments/{quote(experiment_id, safe='')}/runs"


def run_path(study: str, key: int) -> str:
    """A trial's MLflow run as a path on the dashboard, which looks the run up when somebody follows it.

    MLflow gives a run its id when it takes it, possibly after the trial's end; and the port of the local
    MLflow UI changes from start to start. A path by study and key always holds.

    >>> run_path("cd3d-search", 3)
    '/mlflow/cd3d-search/3'
    """
    return f"/mlflow/{quote(study, safe='')}/{key}"
