"""How well out-of-fold maps follow what was planted, through the command line, from nothing.

On a phantom with signal and on one whose labels follow fields that the images do not show, a study of shallow
features and one of the small CNN are searched, refitted and mapped: `radsearch phantom`, `run`, `refit` and
`map --all --out-of-fold --score`, each in a process of its own. With signal the mean correlation is printed
as a ratio to the largest that a map of such patches can have; without, it must lie within two standard errors
of 0. The exit status is 1 where either does not hold.

    python -m benchmarks.maps_truth                                   45 participants, 150 biopsies
    python -m benchmarks.maps_truth --participants 12 --biopsies 60 --size 48 --trials 2 --epochs 5
    python -m benchmarks.maps_truth --keep FOLDER                     what is there is not made again
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIGNALS = ("default", "none")
FEATURES = """
name = "features"
cohort = "cohort"
[search]
trials = {trials}
enqueue = [{{ architecture = "roi_means", patch_radius = 5 }}]
[space]
architecture = ["roi_means"]
patch_radius = {{ low = 2, high = 8 }}
regularisation = {{ low = 0.01, high = 100.0, log = true }}
"""
SMALL_CNN = """
name = "small_cnn"
cohort = "cohort"
[training]
epochs = {epochs}
[search]
trials = {trials}
[space]
architecture = ["small_cnn"]
learning_rate = {{ low = 3e-4, high = 3e-3, log = true }}
batch_size = [9, 18]
patch_radius = {{ low = 4, high = 8 }}
"""
STUDIES = {"features": FEATURES, "small_cnn": SMALL_CNN}


@dataclass(frozen=True)
class Outcome:
    """What one study's maps of one phantom are worth.

    Attributes:
        signal: Of the phantom.
        study: Its name.
        score: What `map --score --json` says of all maps.
        seconds: Of each command; 0 where its outcome was kept from before.
    """

    signal: str
    study: str
    score: Mapping[str, Any]
    seconds: Mapping[str, float]

    @property
    def holds(self) -> bool:
        """Whether the maps are as good as can be asked for, and no better."""
        mean, se = self.score["mean"], self.score["se"]
        if self.signal == "none":
            return bool(abs(mean) <= 2 * se)
        return bool(mean > 2 * se and self.score["ratio"] <= 1 + 2 * self.score["ratio_se"])


def outcomes(folder: Path, args: argparse.Namespace) -> Iterator[Outcome]:
    """Of every phantom and study, each as it is there."""
    for signal in SIGNALS:
        place = folder / signal
        place.mkdir(parents=True, exist_ok=True)
        if not (place / "cohort" / "cohort.toml").exists():
            counts = ("--participants", args.participants, "--biopsies", args.biopsies, "--size", args.size)
            radsearch(place, "phantom", "cohort", "--signal", signal, "--seed", args.seed, *counts)
        for study in args.studies:
            yield outcome(place, signal, study, args)


def outcome(place: Path, signal: str, study: str, args: argparse.Namespace) -> Outcome:
    """Search, refit and map in a folder that has the cohort."""
    kept = place / f"{study}-{args.stride}.json"
    if kept.exists():
        return Outcome(signal, study, json.loads(kept.read_text()), {})
    (place / f"{study}.toml").write_text(STUDIES[study].format(trials=args.trials, epochs=args.epochs))
    shutil.rmtree(place / f"maps-{study}-{args.stride}", ignore_errors=True)  # of a run that was cut off
    seconds, began = {}, time.monotonic()
    for name, command in commands(study, args).items():
        printed = radsearch(place, *command, "--home", "home")
        seconds[name], began = time.monotonic() - began, time.monotonic()
    score = json.loads(printed)["scores"][0]
    kept.write_text(json.dumps(score, indent=1) + "\n")
    return Outcome(signal, study, score, seconds)


def commands(study: str, args: argparse.Namespace) -> dict[str, Sequence[object]]:
    """What is called for one study, in turn."""
    maps = (study, "cohort", "--all", "--out", f"maps-{study}-{args.stride}", "--stride", args.stride)
    return {
        "run": ("run", f"{study}.toml"),
        "refit": ("refit", study, "--seeds", args.seeds, "--skip-explanations", "--skip-registering"),
        "map": ("map", *maps, "--out-of-fold", "--score", "--skip-tracking", "--json"),
    }


def radsearch(folder: Path, *args: object) -> str:
    """Run the command line as a user would; what it prints."""
    program = str(Path(sys.executable).with_name("radsearch"))
    called = [program, *map(str, args)]
    done = subprocess.run(called, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{folder}: {' '.join(called[1:])} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def told(found: Outcome) -> str:
    """One line of the table."""
    score = found.score
    count = len(score["scores"])
    of_bound = "no bound"
    if score["ratio"] is not None:
        of_bound = f"bound {score['bound']:.3f}, ratio {score['ratio']:.2f} +- {2 * score['ratio_se']:.2f}"
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in found.seconds.items()) or "kept"
    return (
        f"{found.signal:>8} {found.study:<10} mean correlation {score['mean']:+.3f} +- {2 * score['se']:.3f} "
        f"(2 SE, {count} maps), {of_bound}; p <= .05 in {score['significant']}; "
        f"{'holds' if found.holds else 'DOES NOT HOLD'}; {spent}"
    )


def main() -> int:
    """Run the benchmark; 1 where the maps of a phantom are not what they should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--participants", type=int, default=45)
    parser.add_argument("--biopsies", type=int, default=150)
    parser.add_argument("--size", type=int, default=64, help="edge of the volumes in mm")
    parser.add_argument("--seed", type=int, default=0, help="of both phantoms")
    parser.add_argument("--trials", type=int, default=6, help="of each study")
    parser.add_argument("--epochs", type=int, default=30, help="of a network, at most")
    parser.add_argument("--seeds", type=int, default=1, help="networks of each configuration in the model")
    parser.add_argument("--stride", type=int, default=3, help="every Nth voxel of a tumour")
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--keep", type=Path, help="folder that keeps cohorts, homes and maps")
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for one in outcomes((args.keep or Path(folder)).absolute(), args):
            found.append(one)
            print(told(one), flush=True)
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
