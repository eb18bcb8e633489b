"""Nested cross-validation: the search repeated inside each training fold, scored where it never looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_prep.folds import FoldTable, Split, make_folds
from data_prep.problems import InputError
from search.errors import StudyStoppedError
from search.material import Material
from search.refits.fit import Fit
from search.refits.nested import OuterFold
from search.refits.pipeline import Chooser, Fitter, Results, Selection, placed, table_of
from search.sections import ValidationSection
from search.statistics.predictions import Outputs, assemble
from search.statistics.selection import combined
from search.statistics.sums import Sums


@dataclass(frozen=True, eq=False)
class Validated:
    """What a nested cross-validation found, before it is put on record.

    Attributes:
        folds: Each outer fold.
        outputs: What was said of every biopsy, in each repeat, by models that never saw its participant.
        fits: How many models were fitted.
        failed: How many of them could not be.
        fit_seconds: What they took, all together.
    """

    folds: tuple[OuterFold, ...]
    outputs: Outputs
    fits: int
    failed: int
    fit_seconds: float


def outer_table(material: Material, validation: ValidationSection, repeats: int) -> FoldTable:
    """The study's own fold table, with as many repeats: fewer than it has, or more made as the first were."""
    frozen = material.folds
    made = table_of(material, validation.model_copy(update={"repeats": repeats}))
    fold = np.concatenate([frozen.fold[:repeats], made.fold[len(frozen.fold) :]])
    return replace(frozen, fold=fold)


def inner_splits(material: Material, outer: Split, folds: int, seed: int) -> tuple[Split, ...]:
    """Grouped, stratified folds of the training biopsies of an outer fold; rows are the dataset's.

    Args:
        material: The dataset.
        outer: The outer fold.
        folds: How many.
        seed: Of the study's fold tables.

    Raises:
        InputError: The training biopsies are too few for as many folds.
    """
    rows, patches = outer.train, material.patches
    label = material.labels.relabel(rows)[0][rows]  # as the models see them, not by a cut of the whole cohort
    own_seed = int(np.random.SeedSequence([seed, outer.index]).generate_state(1)[0])
    biopsies, people = ([ids[row] for row in rows] for ids in (patches.biopsy_id, patches.participant_id))
    try:
        table = make_folds(biopsies, people, label, folds, 1, own_seed)
    except InputError as error:
        law = str(error).replace("validation.folds", "--inner")
        raise InputError(f"outer fold {outer.fold}: {law}") from error
    return tuple(
        Split(outer.index * folds + split.fold, 0, split.fold, rows[split.train], rows[split.test])
        for split in table.splits()
    )


def inner_tables(
    material: Material, table: FoldTable, folds: int, seed: int
) -> tuple[tuple[Split, ...], ...]:
    """`inner_splits` of every outer fold; arguments and errors are its."""
    return tuple(inner_splits(material, outer, folds, seed) for outer in table.splits())


def validate(
    chooser: Chooser,
    material: Material,
    table: FoldTable,
    inner: Sequence[Sequence[Split]],
    fitted: Fitter,
) -> Validated:
    """Search inside each outer fold's training biopsies, refit what is selected on all of them, score it.

    The metric is thus that of the whole procedure, selection included. Its intervals take the models as they
    are.

    Args:
        chooser: The search, the same in every outer fold.
        material: The dataset.
        table: The outer folds.
        inner: The inner folds of each.
        fitted: Runs fits.

    Raises:
        StudyStoppedError: In an outer fold no configuration can be fitted.
    """
    outer = table.splits()
    searches = [chooser.fits(splits) for splits in inner]
    found = list(fitted([fit for search in searches for fit in search]))
    size = len(searches[0])
    chosen = [
        _chosen(chooser, split, found[place * size : (place + 1) * size]) for place, split in enumerate(outer)
    ]
    refits = [
        [Fit.of(chooser.configs[member], split) for member in selection.members]
        for split, selection in zip(outer, chosen, strict=True)
    ]
    again = iter(refitted := list(fitted([fit for fits in refits for fit in fits])))
    answers = [
        _together(split, fits, [next(again) for _ in fits]) for split, fits in zip(outer, refits, strict=True)
    ]
    done = [result for result in (*found, *refitted) if result is not None]
    return Validated(
        tuple(map(lambda *of: _outer_fold(chooser, *of), outer, chosen, answers)),
        _gathered(material, table, answers),
        len(found) + len(refitted),
        len(found) + len(refitted) - len(done),
        sum(result.seconds for result in done),
    )


def _chosen(chooser: Chooser, split: Split, results: Results) -> Selection:
    selection = chooser.choose(results, split.train)
    if selection is None:
        raise StudyStoppedError(
            f"outer fold {split.fold}: no configuration could be fitted on all inner folds"
        )
    return selection


def _together(split: Split, fits: Sequence[Fit], results: Results) -> Outputs:
    """What the selected configurations, refitted, say of the biopsies of an outer fold, in their order."""
    whole = [(fit, result) for fit, result in zip(fits, results, strict=True) if result is not None]
    if not whole:
        raise StudyStoppedError(f"outer fold {split.fold}: nothing that was selected could be fitted again")
    folds = [[replace(one, repeat=0) for one in placed([result], split.test)] for _, result in whole]
    settings = [fit.config.settings for fit, _ in whole]
    predictions = assemble(folds, range(len(whole)), settings, None, len(whole))
    return combined(predictions, range(len(whole)))


def _outer_fold(chooser: Chooser, split: Split, selection: Selection, outputs: Outputs) -> OuterFold:
    return OuterFold(
        split.repeat,
        split.fold,
        selection.members,
        tuple(dict(chooser.configs[member].settings) for member in selection.members),
        Sums(chooser.metric, selection.outputs).value(selection.outputs),
        Sums(chooser.metric, outputs).value(outputs),
    )


def _gathered(material: Material, table: FoldTable, answers: Sequence[Outputs]) -> Outputs:
    """The outer folds' outputs put together, shape (repeats, biopsies)."""
    label, predicted = (np.empty(table.fold.shape, dtype=np.int64) for _ in range(2))
    score, probability = (np.empty(table.fold.shape) for _ in range(2))
    for split, outputs in zip(table.splits(), answers, strict=True):
        place = (split.repeat, split.test)
        label[place], predicted[place] = outputs.label[0], outputs.predicted[0]
        score[place], probability[place] = outputs.score[0], outputs.probability[0]
    return Outputs(label, material.participant, table.fold, score, probability, predicted)
