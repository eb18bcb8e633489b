from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.samplers import GPSampler, RandomSampler, TPESampler

from search.keras_tuner_study import direction_of, free_name, known_sampler, open_storage, open_study


def test_an_unknown_sampler_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="must be one of tpe, random, gp, or an Optuna sampler, but got"):
        known_sampler("tpes")


def test_a_direction_that_keras_tuner_lets_pass_is_refused() -> None:
    assert (direction_of("min"), direction_of("max")) == ("minimize", "maximize")
    with pytest.raises(ValueError, match="must be 'min' or 'max', but got 'minimize'"):
        direction_of("minimize")


@pytest.mark.parametrize(("name", "kind"), [("tpe", TPESampler), ("random", RandomSampler)])
def test_samplers_by_name(name: str, kind: type) -> None:
    study = open_study(open_storage(None, None), "s", "minimize", name, seed=0)
    assert isinstance(study.sampler, kind)
    assert isinstance(study.pruner, optuna.pruners.NopPruner)


def test_gp_is_a_sampler_where_pytorch_is() -> None:
    pytest.importorskip("torch", reason="PyTorch belongs to the benchmarks alone: pip install .[bench]")
    assert isinstance(open_study(open_storage(None, None), "s", "minimize", "gp", 0).sampler, GPSampler)


def test_a_continued_study_draws_other_values_than_at_its_beginning() -> None:
    storage = open_storage(None, None)
    drawn = [
        open_study(storage, "s", "minimize", "random", 0)
        .ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        .params["x"]
        for _ in range(2)
    ]
    assert drawn[0] != drawn[1]
    again = open_study(open_storage(None, None), "s", "minimize", "random", 0)
    assert again.ask({"x": optuna.distributions.FloatDistribution(0, 1)}).params["x"] == drawn[0]


def test_a_study_that_goes_the_other_way_is_refused() -> None:
    storage = open_storage(None, None)
    open_study(storage, "s", "minimize", "tpe", 0)
    with pytest.raises(ValueError, match="study_name: the study 's' must maximize"):
        open_study(storage, "s", "maximize", "tpe", 0)


def test_a_taken_name_is_numbered() -> None:
    storage = open_storage(None, None)
    for expected in ("s", "s-2", "s-3"):
        name = free_name("s", storage)
        assert name == expected
        open_study(storage, name, "minimize", "tpe", 0)


@pytest.mark.parametrize("kind", ["project", "journal", "sqlite"])
def test_another_process_reads_the_storage_by_its_name(tmp_path: Path, kind: str) -> None:
    """As `optuna-dashboard STORAGE` does, with the dashboard's own way of reading the name."""
    given = {"project": None, "journal": str(tmp_path / "j"), "sqlite": f"sqlite:///{tmp_path}/t.db"}[kind]
    open_study(open_storage(given, str(tmp_path)), "mine", "minimize", "tpe", 0).ask()
    code = """
import sys, optuna
from optuna_dashboard._storage_url import get_storage
print([(s.study_name, s.n_trials) for s in optuna.get_all_study_summaries(get_storage(sys.argv[1]))])
"""
    named = given or str(tmp_path / "optuna.journal")
    read = subprocess.run([sys.executable, "-c", code, named], capture_output=True, text=True, check=True)
    assert read.stdout.strip() == "[('mine', 1)]"


def test_what_cannot_be_opened_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="storage: cannot be opened") as caught:
        open_storage(f"sqlite:///{tmp_path}/no/such/folder/t.db", None)
    assert "\n" not in str(caught.value)
    with pytest.raises(
        ValueError, match="storage: must be given where the project is remote, as gs://bucket"
    ):
        open_storage(None, "gs://bucket/project")
