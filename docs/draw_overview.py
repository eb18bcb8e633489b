"""Draws overview.png: from a volume and its biopsies to a searched study.

Usage, after `make demo`: python docs/draw_overview.py cohorts/phantom demo-home quick docs/overview.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_prep.cohort import Cohort, read_cohort
from data_prep.files import whole_file
from data_prep.geometry import canonical_voxel, stored_voxel
from data_prep.volumes import open_volume, read_volume
from search.booking import finished_folds
from search.home import Home
from search.material import Material, prepare
from search.storage import open_storage
from search.study_file import Study

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"
MARKS = {"small_cnn": ("o", BLUE), "resnet50": ("s", ORANGE)}


def draw_slice(axes: Axes, cohort: Cohort, row: int) -> None:
    """The axial T1Gd slice through one biopsy, with its patch of 17 x 17."""
    biopsy = cohort.biopsies[row]
    volume = open_volume(cohort.image_path(biopsy, "T1Gd"))
    stored = stored_voxel(volume.grid, biopsy.position, cohort.coordinates)
    x, y, z = canonical_voxel(volume.grid, stored)
    axial = volume.grid.to_canonical(read_volume(volume))[:, :, z]
    axes.imshow(axial.T, cmap="gray", origin="lower")
    axes.plot([x - 8, x + 8, x + 8, x - 8, x - 8], [y - 8, y - 8, y + 8, y + 8, y - 8], color=ORANGE)
    axes.set_title("a biopsy in its MR volume")
    axes.set_axis_off()


def draw_patch(axes: Axes, material: Material, row: int) -> None:
    """The nine channels of that biopsy's patch."""
    images = material.patches.images(8)[row]
    for channel, name in enumerate(material.patches.channel_names):
        left, top = channel % 3, channel // 3
        extent = (left + 0.03, left + 0.97, top + 0.97, top + 0.15)
        axes.imshow(images[:, ::-1, channel].T, cmap="gray", extent=extent)
        axes.text(left + 0.03, top + 0.11, name, fontsize=8)
    axes.set(xlim=(0, 3), ylim=(3, 0), title="its patch, 17 x 17 x 9")
    axes.set_axis_off()


def draw_trials(axes: Axes, study: optuna.Study) -> None:
    """The trials by number, and the best so far."""
    trials = [trial for trial in study.get_trials() if trial.value is not None]
    for name, (mark, colour) in MARKS.items():
        mine = [trial for trial in trials if trial.params["architecture"] == name]
        numbers, values = [trial.number for trial in mine], [trial.value for trial in mine]
        axes.scatter(numbers, values, marker=mark, color=colour, label=name)
    best = np.maximum.accumulate([trial.value for trial in trials])
    axes.step([trial.number for trial in trials], best, where="post", color=GREY, lw=1, label="best so far")
    axes.set(xlabel="trial", ylabel="cross-validated AUC", title="a study: trials, each in 3 folds")
    axes.legend(fontsize=8, frameon=False)


def draw_scores(axes: Axes, study: optuna.Study) -> None:
    """Out-of-fold probabilities of the best trial, by true label."""
    folds = finished_folds(study.best_trial).values()
    label = np.concatenate([fold.scores.label for fold in folds])
    probability = np.concatenate([fold.scores.probability for fold in folds])
    bins = np.linspace(0, 1, 16)
    for value, colour, name in ((0, GREY, "CD3D low"), (1, GREEN, "CD3D high")):
        axes.hist(probability[label == value], bins, alpha=0.6, color=colour, label=name)
    axes.set(xlabel="out-of-fold probability", ylabel="biopsies", title="the best trial's held-out biopsies")
    axes.legend(fontsize=8, frameon=False)


def main(cohort_folder: Path, home: Home, name: str, out: Path) -> None:
    """Draw the four panels side by side."""
    cohort = read_cohort(cohort_folder)
    material = prepare(Study.from_json(home.study(name).definition.read_text()), home, frozen=True)
    study = optuna.load_study(study_name=name, storage=open_storage(None, home))
    complete = np.flatnonzero(material.patches.present.all(axis=1))
    row = int(complete[len(complete) // 2])
    figure = Figure(figsize=(14, 3.6), layout="constrained")
    panels = figure.subplots(1, 4)
    draw_slice(panels[0], cohort, row)
    draw_patch(panels[1], material, row)
    draw_trials(panels[2], study)
    draw_scores(panels[3], study)
    with whole_file(out) as temporary:
        figure.savefig(temporary, dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Home.at(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
