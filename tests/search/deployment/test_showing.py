"""What a model is shown of the training cohort is what it was trained on, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.cohort import read_cohort
from data_prep.features.location import location
from search.deployment.model import Model
from search.deployment.showing import shown_sites
from tests.search.deployment.conftest import Refitted


def test_patches_and_inputs_of_the_training_cohort_are_those_of_training(
    refitted: Refitted, model_folder: Path
) -> None:
    model, cohort = Model.open(model_folder), read_cohort(refitted.cohort)
    shown = shown_sites(model, cohort, cohort.biopsies).patches
    trained = refitted.material.patches
    assert shown.biopsy_id == trained.biopsy_id
    radius = model.request.radius
    assert trained.radius >= radius
    for name in ("present", "mean", "std", "landmarks", "voxel_mm"):
        np.testing.assert_array_equal(getattr(shown, name), getattr(trained, name))
    for cut in (lambda patches: patches.raw_images(radius), lambda patches: patches.images(radius)):
        np.testing.assert_array_equal(cut(shown).view(np.uint32), cut(trained).view(np.uint32))
    np.testing.assert_array_equal(shown.measured(radius), trained.measured(radius))
    for fit in (fit for fits in refitted.plan.folds for fit in fits):
        view = refitted.member(fit).view
        expected = view.images(trained)
        np.testing.assert_array_equal(view.images(shown).view(np.uint32), expected.view(np.uint32))


def test_some_sites_are_shown_as_all_are(refitted: Refitted, model_folder: Path) -> None:
    model, cohort = Model.open(model_folder), read_cohort(refitted.cohort)
    rows = [7, 2, 30]
    some = shown_sites(model, cohort, [cohort.biopsies[row] for row in rows]).patches
    every = shown_sites(model, cohort, cohort.biopsies).patches
    assert some.hash == every.take(rows).hash


def test_places_are_shown_to_a_model_that_reads_them(refitted: Refitted, model_folder: Path) -> None:
    model, cohort = Model.open(model_folder), read_cohort(refitted.cohort)
    assert shown_sites(model, cohort, cohort.biopsies[:2]).location is None

    class Reads(Model):
        def predictor(self, fold: int | None = None) -> object:  # type: ignore[override]
            return type("Asked", (), {"reads_location": True})

    shown = shown_sites(Reads(model.folder, model.facts), cohort, cohort.biopsies)
    assert shown.location is not None
    expected = location(cohort, model.request.sequences, model.request.resample_to)
    assert shown.location.names == expected.names
    np.testing.assert_array_equal(shown.location.values, expected.values)
