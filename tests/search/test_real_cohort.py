"""A whole study on real biopsies whose images tell nothing but where they lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from search.home import Home
from search.progress import Listener
from search.results import study_record
from search.study_file import read_study
from search.supervisor import RunOptions, run_study

STUDY = """
name = "atlas"
[training]
epochs = 4
[search]
trials = 5
[space]
architecture = ["small_cnn"]
optimizer = ["adam", "sgd"]
learning_rate = { low = 1e-4, high = 1e-2, log = true }
patch_radius = { low = 4, high = 8 }
"""


def test_five_trials_on_the_glioma_atlas_stay_near_chance(
    shared_cohort: Callable[[str], Path], tmp_path: Path
) -> None:
    """Over block permutations of the labels a linear model's AUC has mean .50 and sd .10 on this cohort."""
    (tmp_path / "study.toml").write_text(STUDY)
    home = Home.at(tmp_path / "home")
    study = read_study(tmp_path / "study.toml", cohort=shared_cohort("glioma_atlas3d"))
    record = study_record(run_study(study, home, RunOptions(), Listener()).study, home)
    assert (record["cohort"]["biopsies"], record["cohort"]["participants"]) == (165, 17)
    assert record["cohort"]["excluded"] == {"no_expression": 55}
    assert [trial["folds_done"] for trial in record["trials"]] == [5] * 5
    assert all(abs(trial["value"] - 0.5) < 0.25 for trial in record["trials"])
