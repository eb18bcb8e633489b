"""Whether a model can be asked about a cohort: its sequences, the size of its voxels, its slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data_prep.problems import InputError, Problems, named, nearest
from data_prep.records import Biopsy, Cohort
from data_prep.spacing import in_plane_mm
from data_prep.survey import Visit, survey
from search.deployment.model import Model

LEEWAY = 0.05
"""By how much the edge of a voxel may be beyond those of training: at the edge of a patch of radius 10 half a
voxel, as `data_prep.fallback` has it."""


def as_needed(cohort: Cohort, model: Model) -> Cohort:
    """The cohort with the model's sequences that it does not declare and need not have: nobody has them.

    One whose images are told apart by no sequence stays as it is.
    """
    optional = [name for name in model.request.sequences if name not in model.facts.needed]
    more = tuple(name for name in optional if name not in cohort.sequences)
    if not more or "{sequence}" not in cohort.file.images:
        return cohort
    return replace(cohort, sequences=(*cohort.sequences, *more))


def lacking(model: Model, cohort: Cohort, biopsies: Sequence[Biopsy]) -> dict[str, tuple[str, ...]]:
    """Who lacks a sequence that everybody had whom the model learned from, and which.

    Args:
        model: The model.
        cohort: The cohort.
        biopsies: Whose images are looked for.

    Returns:
        Sequences by participant; of one with several visits those that any visit lacks.
    """
    needed = tuple(name for name in model.facts.needed if name in cohort.sequences)
    found: dict[str, set[str]] = {}
    for group in replace(cohort, biopsies=tuple(biopsies)).by_columns_of_paths():
        absent = set(needed) - cohort.images(group[0], needed).keys()
        for biopsy in group if absent else ():
            found.setdefault(biopsy.participant_id, set()).update(absent)
    return {who: tuple(name for name in needed if name in absent) for who, absent in found.items()}


def check_fits(model: Model, cohort: Cohort, biopsies: Sequence[Biopsy]) -> None:
    """Refuse a cohort that the model cannot be asked about, as far as headers tell.

    Args:
        model: The model.
        cohort: The cohort.
        biopsies: Whose images it is to be asked about.

    Raises:
        InputError: Every problem: a sequence that the model needs and the cohort does not declare, or a
            participant does not have; voxels of another size than in training; too few slices. If there is
            any, also what is wrong with the headers.
    """
    problems = Problems()
    _check_declared(model, cohort, problems)
    for who, absent in lacking(model, cohort, biopsies).items():
        problems.add(
            f"participant {who}",
            f"the model needs {named(model.facts.needed, len(model.facts.needed))}, which everybody had whom "
            f"it learned from, but {named(absent, len(absent))} is absent",
        )
    known = tuple(name for name in model.request.sequences if name in cohort.sequences)
    mine = replace(cohort, biopsies=tuple(biopsies))
    if known and biopsies:
        others = Problems()
        for visit in survey(mine, known, others, model.request.resample_to).visits:
            _check_visit(model, mine, visit, problems)
        if len(problems):  # else those tell who read the images
            _note(others, problems)
    problems.raise_any()


def _note(others: Problems, problems: Problems) -> None:
    try:
        others.raise_any()
    except InputError as error:
        problems.extend(error)


def _check_declared(model: Model, cohort: Cohort, problems: Problems) -> None:
    declared = as_needed(cohort, model).sequences
    for name in model.request.sequences:
        if name not in declared:
            problems.add(
                "cohort.toml: sequences",
                f"the model reads {name!r}, but the cohort does not declare it; "
                f"{nearest(name, cohort.sequences)}",
            )


def _check_visit(model: Model, cohort: Cohort, visit: Visit, problems: Problems) -> None:
    request, (low, high) = model.request, model.facts.voxel_mm
    where = f"participant {cohort.biopsies[visit.rows[0]].participant_id}"
    edges = in_plane_mm(request.spacing_mm, visit.grid)
    if request.spacing_mm is None and (edges.min() < low * (1 - LEEWAY) or edges.max() > high * (1 + LEEWAY)):
        usual = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        problems.add(
            where,
            f"the model learned from voxels of {usual} mm, but these are {edges[0]:.4g} x {edges[1]:.4g} mm. "
            "Resample the images, or train with input.spacing_mm, which resamples the patches",
        )
    slices = visit.grid.canonical_shape[2]
    if slices < request.slices:
        problems.add(where, f"the model reads {request.slices} slices, but the images have {slices}")
