"""Resident memory of a child over the trials of a search: does it stay level?

A real child (`search.child_process.Child`) trains trial after trial of a small network whose settings differ
as those of a search do; it is never replaced, which otherwise would hide what it keeps.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP, LEVEL_MB, BLOCK = 10, 0.5, 10
# Below what any child holds: each change of optimizer drops the network before, the harder case for memory.
KEPT_MB = 500.0
STUDY = """
name = "memory"
cohort = "cohort"
[validation]
folds = 3
[training]
epochs = 2
[search]
pruner = "none"
[space]
architecture = ["small_cnn"]
optimizer = ["adam", "amsgrad", "sgd"]
learning_rate = { low = 1e-4, high = 1e-2, log = true }
batch_size = [9, 18, 45]
patch_radius = { low = 2, high = 8 }
momentum = { low = 0.0, high = 0.99, when = { optimizer = "sgd" } }
"""


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MiB (proc(5))."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def settings_of(number: int) -> dict[str, Any]:
    """The settings of one trial: optimizer and radius in turn, the others at random."""
    random = np.random.default_rng(number)
    optimizer = ("adam", "amsgrad", "sgd")[number % 3]
    settings = {
        "architecture": "small_cnn",
        "optimizer": optimizer,
        "learning_rate": float(10 ** random.uniform(-4, -2)),
        "batch_size": int(random.choice([9, 18, 45])),
        "patch_radius": 2 + number % 7,
    }
    return settings | ({"momentum": float(random.uniform(0.1, 0.99))} if optimizer == "sgd" else {})


def sampled(folder: Path, trials: int) -> list[float]:
    """Resident memory of the child after each trial."""
    from search import child_process
    from search.composing import setup_of
    from search.home import Home
    from search.material import prepare
    from search.placement import Placement
    from search.records import TrialConfig
    from search.study_file import read_study

    child_process.FOLDS_PER_CHILD = 10**9
    study, home = read_study(folder / "study.toml"), folder / "home"
    material = prepare(study, Home.at(home), frozen=False)
    setup = setup_of(study, Home.at(home), material)
    place = Placement(1, None, KEPT_MB / child_process.WARM_SHARE)
    child = child_process.Child(setup, place, folder / "log", threading.Event())
    memory: list[float] = []
    pids = set()
    try:
        for number in range(trials):
            for split in range(3):
                settings = study.parameters.settings(settings_of(number))
                child.run_fold(TrialConfig(settings, number), split, lambda message: None)
            pids.add(child.pid)
            memory.append(resident_mb(child.pid or 0))
    finally:
        child.close()
    if len(pids) != 1:
        raise RuntimeError(f"one child must train all trials, but {len(pids)} did")
    return memory


def show(memory: list[float]) -> bool:
    """Print the curve in blocks, the growth a trial after the warm-up, and whether that is level."""
    for first in range(0, len(memory), BLOCK):
        values = memory[first : first + BLOCK]
        print(f"  trials {first + 1}-{first + len(values)}: {min(values):.0f} to {max(values):.0f} MiB")
    later = np.array(memory[WARM_UP:])
    growth = float(np.polyfit(np.arange(len(later)), later, 1)[0])
    verdict = "level" if growth <= LEVEL_MB else "not level"
    print(f"growth after trial {WARM_UP}: {growth:.2f} MiB a trial (least squares); {verdict}")
    print(f"  (level: at most {LEVEL_MB} MiB a trial, 250 MiB over a search of 500 trials)")
    return growth <= LEVEL_MB


def main() -> None:
    from data_prep.phantom import PhantomSpec, write_phantom

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    trials = parser.parse_args().trials
    if trials < WARM_UP + 5:
        parser.error(f"--trials: at least {WARM_UP + 5} are needed for a slope, but got {trials}")
    folder = Path(tempfile.mkdtemp())
    try:
        write_phantom(folder / "cohort", PhantomSpec(participants=12, biopsies=40, size=32, missing=0.0))
        (folder / "study.toml").write_text(STUDY)
        print(f"memory: one child, {trials} trials of 3 folds x 2 epochs, small CNN, 7 radii, 3 optimizers")
        level = show(sampled(folder, trials))
    finally:
        shutil.rmtree(folder)
    sys.exit(not level)


if __name__ == "__main__":
    main()
