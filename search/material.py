"""From a study and its cohort to what every trial shares: patches, labels and frozen folds.

Owner and child both come here, so that they cannot differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from data_prep.arrays import BoolArray, IntArray
from data_prep.augment_spec import margin, nothing_done
from data_prep.cache import load_patches
from data_prep.cohort import Cohort, read_cohort
from data_prep.folds import FoldTable, make_folds, read_folds, write_folds
from data_prep.inputs import complete_rows
from data_prep.intensity import methods_of
from data_prep.labels import UNKNOWN, Labels, label_biopsies
from data_prep.patches import PatchRequest, PatchSet
from data_prep.problems import InputError, Problems, nearest
from data_prep.repeats import second_scans
from data_prep.spacing import in_plane_spacing
from search.home import Home, StudyFolder
from search.specs import offered_augments, widest_augment
from search.study_file import Study

Progress = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Material:
    """The dataset of a study; every array has one row a kept biopsy.

    Attributes:
        cohort: Its name.
        source: The cohort itself, for the features of shallow models.
        patches: At the largest radius a trial can ask for, and as much more as augmentation needs.
        labels: The label of each biopsy.
        folds: The frozen fold table.
        missing: What becomes of sequences that a participant lacks.
        excluded: How many biopsies were left out, by reason.
        second: Patches of the second scans, row by row those of `patches`, nothing present where a biopsy has
            none; None unless training uses them.
    """

    cohort: str
    source: Cohort
    patches: PatchSet
    labels: Labels
    folds: FoldTable
    missing: str
    excluded: Mapping[str, int]
    second: PatchSet | None = None

    @property
    def participant(self) -> IntArray:
        """An index per participant, in the order of their first biopsy; shape (biopsies,)."""
        numbers: dict[str, int] = {}
        ids = [numbers.setdefault(name, len(numbers)) for name in self.patches.participant_id]
        return np.array(ids, dtype=np.int64)

    @property
    def labels_hash(self) -> str:
        """One hash over scores and labels."""
        labels = self.labels
        more = labels.tpm.tobytes() if len(labels.definition.heads) > 1 else b""
        return hashlib.sha256(labels.score.tobytes() + labels.label.tobytes() + more).hexdigest()

    @property
    def complete(self) -> BoolArray:
        """Which biopsies have every sequence, shape (biopsies,)."""
        complete = np.zeros(len(self.patches), dtype=bool)
        complete[complete_rows(self.patches)] = True
        return complete

    def learnable(self, rows: IntArray) -> IntArray:
        """Those of the rows that models may learn from: with `missing = "drop"` the complete ones."""
        return rows[self.complete[rows]] if self.missing == "drop" else rows

    @property
    def hash(self) -> str:
        """One hash over patches, labels and folds."""
        second = () if self.second is None else (self.second.hash,)
        parts = (self.patches.hash, self.folds.hash, self.labels_hash, *second)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def prepare(study: Study, home: Home, frozen: bool, progress: Progress | None = None) -> Material:
    """Read the cohort, extract or load its patches, label the biopsies, make or read the folds.

    Args:
        study: The study.
        home: Keeps the patches (by content) and the fold table (by study).
        frozen: Whether the study exists: its fold table is then read, not made.
        progress: Called with participants done and in all while volumes are read.

    Raises:
        InputError: All problems of the cohort, or of cohort and study together.
    """
    cohort = read_cohort(Path(study.cohort or ""))
    problems = Problems()
    _check_folds(study, cohort, problems)
    request = _request(study, cohort, problems)
    labels = _collect(problems, lambda: _labels(study, cohort))
    patches = _collect(problems, lambda: load_patches(cohort, request, home.cache, progress))
    problems.raise_any()
    if labels is None or patches is None:
        raise InputError("cohort: labels and patches are needed")
    rows, excluded = _kept(patches, labels)
    patches = patches.take(rows)
    place = {biopsy: row for row, biopsy in enumerate(labels.biopsy_id)}
    labels = labels.take([place[biopsy] for biopsy in patches.biopsy_id])
    second = _second(study, cohort, patches, home, progress)
    path = home.study(study.name).folds
    folds = _read_frozen(path, patches) if frozen and path.exists() else _make_folds(study, patches, labels)
    material = Material(cohort.name, cohort, patches, labels, folds, study.input.missing, excluded, second)
    _check_training_rows(material)
    _check_inner_split(study, material)
    return material


def _collect(problems: Problems, step: Callable[[], T]) -> T | None:
    """The step's result; where its input is wrong, None and its problems noted beside the others'."""
    try:
        return step()
    except InputError as error:
        problems.extend(error)
        return None


def _check_folds(study: Study, cohort: Cohort, problems: Problems) -> None:
    folds, participants = study.validation.folds, len(cohort.participants)
    if folds > participants:
        problems.add(
            "validation.folds",
            f"{folds} folds need as many participants, but the cohort has {participants}",
        )


def _request(study: Study, cohort: Cohort, problems: Problems) -> PatchRequest:
    """What to cut out; a sequence that the cohort lacks is noted, and the others are still looked at."""
    options = study.input
    wanted = cohort.sequences if options.sequences == "all" else tuple(options.sequences)
    for name in set(wanted) - set(cohort.sequences):
        problems.add("input.sequences", f"unknown sequence {name!r}; {nearest(name, cohort.sequences)}")
    known = tuple(name for name in wanted if name in cohort.sequences) or cohort.sequences
    if options.resample_to is not None and options.resample_to not in cohort.sequences:
        hint = nearest(options.resample_to, cohort.sequences)
        problems.add("input.resample_to", f"unknown sequence {options.resample_to!r}; {hint}")
    methods = _collect(problems, lambda: methods_of(options.normalisation, known, cohort.file.quantitative))
    spacing, distance = (_millimetres(value) for value in (options.spacing_mm, options.slice_mm))
    radius = study.parameters.largest_radius
    return PatchRequest(
        known,
        radius=radius + _margin(study, cohort, known, spacing, problems),
        slices=options.slices,
        spacing_mm=spacing,
        slice_mm=distance,
        resample_to=options.resample_to if options.resample_to in cohort.sequences else None,
        normalisation=methods or "zscore",
    )


def _millimetres(value: str | float) -> float | None:
    return None if value == "native" else float(value)


def _margin(
    study: Study, cohort: Cohort, sequences: Sequence[str], spacing: float | None, problems: Problems
) -> int:
    """Voxels that augmentation needs beyond the largest radius; what would change no patch is noted."""
    space, radius = study.parameters, study.parameters.largest_radius
    if not any("network" in space.catalogue.traits(name) for name in space.architectures):
        return 0
    widest = _collect(problems, lambda: widest_augment(study))
    offered = _collect(problems, lambda: offered_augments(study)) or []
    if widest is None or all(spec.is_none for spec in offered):
        return 0
    voxel_mm = _collect(
        problems, lambda: in_plane_spacing(cohort, sequences, spacing, study.input.resample_to)
    )
    if voxel_mm is None:
        return 0
    lines = (line for spec in offered for line in nothing_done(spec, radius, voxel_mm, len(sequences)))
    for line in dict.fromkeys(lines):
        name, _, law = line.partition(": ")
        shown = "jitter x input.registration_sd_mm" if name == "jitter_mm" else name
        problems.add(f"augmentation: {shown}", law)
    return margin(widest, radius, voxel_mm)


def _labels(study: Study, cohort: Cohort) -> Labels:
    definition = study.label.definition
    if cohort.expression is None and definition.column is None:
        raise InputError(
            "cohort.toml: expression: a study needs an expression table, but the cohort has none"
        )
    return label_biopsies(cohort, definition)


def _kept(patches: PatchSet, labels: Labels) -> tuple[IntArray, dict[str, int]]:
    """The rows of `patches` that are scored, and how many others there are, by reason.

    They do not hang on how absent sequences are dealt with, so that all ways of it are scored on the same.
    """
    labelled = set(labels.biopsy_id)
    has_label = np.array([biopsy in labelled for biopsy in patches.biopsy_id])
    rows = np.flatnonzero(has_label)
    if not len(rows):
        raise InputError("cohort: at least one biopsy with expression and images is needed, but none is left")
    reason = "no_expression" if labels.definition.column is None else "no_score"
    return rows, {reason: int((~has_label).sum())}


def _second(
    study: Study, cohort: Cohort, patches: PatchSet, home: Home, progress: Progress | None
) -> PatchSet | None:
    """Patches of the second scans, where training shows them."""
    if study.input.repeats != "augment":
        return None
    again = second_scans(cohort)
    if again is None:
        raise InputError(
            "input.repeats: 'augment' needs second scans, but cohort.toml has no [repeats], or nobody has any"
        )
    found = load_patches(again, patches.request, home.cache, progress)
    return found.aligned(patches.biopsy_id, patches.participant_id)


def _check_training_rows(material: Material) -> None:
    """Every training fold must hold both values of every label, and keep them where biopsies are dropped."""
    problems = Problems()
    for split in material.folds.splits():
        where = f"fold {split.fold} of repeat {split.repeat}"
        _check_heads(material.labels, split.train, where, problems)
        rows = material.learnable(split.train)
        if material.missing == "drop" and len(set(material.labels.label[rows])) < 2:
            problems.add(
                "input.missing",
                f"'drop' must leave biopsies of both labels to train on, but {where} keeps {len(rows)} of "
                f"{len(split.train)}. Use 'mask', 'zero' or 'mean'",
            )
    problems.raise_any()


def _check_heads(labels: Labels, train: IntArray, where: str, problems: Problems) -> None:
    """Note each further label that a training fold knows too little of."""
    if len(labels.definition.heads) == 1:
        return
    names, known = labels.definition.heads, (~np.isnan(labels.tpm[train])).sum(axis=0)
    poor = [int(gene) for gene in np.flatnonzero(known == 0)]
    if not poor:  # else no cut can be drawn
        poor = [n for n, head in enumerate(labels.heads(train)) if len({*head.label[train]} - {UNKNOWN}) < 2]
    for gene in poor:
        problems.add(
            "label.genes",
            f"{names[gene]} must be measured in training biopsies on both sides of its cut, but {where} has "
            f"it in {known[gene]} of {len(train)}",
        )


def _read_frozen(path: Path, patches: PatchSet) -> FoldTable:
    folds = read_folds(path)
    if folds.biopsy_id != patches.biopsy_id or folds.participant_id != patches.participant_id:
        raise InputError(
            f"{path}: the folds were frozen for other biopsies ({len(folds.biopsy_id)}, now "
            f"{len(patches.biopsy_id)}): the cohort changed. Use another study name"
        )
    return folds


def _make_folds(study: Study, patches: PatchSet, labels: Labels) -> FoldTable:
    options = study.validation
    return make_folds(
        patches.biopsy_id, patches.participant_id, labels.label, options.folds, options.repeats, options.seed
    )


def _check_inner_split(study: Study, material: Material) -> None:
    """Early stopping holds participants of the training fold out once more, so it needs two."""
    if study.training.early_stopping == "none":
        return
    folds = material.folds
    training = (material.learnable(split.train) for split in folds.splits())
    least = min(len({folds.participant_id[row] for row in rows}) for rows in training)
    if least < 2:
        raise InputError(
            "training.early_stopping: 'inner' needs at least 2 participants in every training fold, but got "
            f"{least}. Use 'none'"
        )


def freeze_folds(material: Material, folder: StudyFolder) -> None:
    """Keep the fold table with the study, once the study exists."""
    if not folder.folds.exists() or read_folds(folder.folds).hash != material.folds.hash:
        write_folds(material.folds, folder.folds)
