"""A study's bank of frozen fold tables: the search uses the first, its finalists are scored on all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_prep.arrays import IntArray
from data_prep.folds import MAX_REPEATS, FoldTable, make_folds, read_folds, write_folds
from data_prep.problems import InputError
from search.home import StudyFolder
from search.material import Material
from search.study_file import Study

NAME = "bank.tsv"
TABLES = 10  # SCIENCE of the project, E1
LONGEST_DRAW = min(640, MAX_REPEATS)  # tables drawn at most, until ten of them differ


def bank_of(material: Material, study: Study) -> FoldTable:
    """The fold tables of a study: the search's own first, each drawn as those are, none of them twice.

    Args:
        material: The dataset, with the search's own tables.
        study: How many folds, and the seed.

    Returns:
        A table a repeat: ten, or as many as differ in who is held out together where the cohort is too small
        for ten.
    """
    options, patches = study.validation, material.patches
    draw = TABLES
    while True:
        drawn = make_folds(
            patches.biopsy_id,
            patches.participant_id,
            material.labels.label,
            options.folds,
            draw,
            options.seed,
        )
        own = material.folds.fold
        tables = _distinct([*own, *drawn.fold[len(own) :]])[:TABLES]
        if len(tables) == TABLES or draw >= LONGEST_DRAW:
            return replace(material.folds, fold=np.stack(tables))
        draw *= 2


def freeze_bank(material: Material, study: Study, folder: StudyFolder) -> FoldTable:
    """Keep the bank with the study, unless it is there; returns it.

    One that begins with other tables than the search's is of an earlier study of that name, and replaced.

    Raises:
        InputError: The file was changed by hand; without it, the same bank is made again.
        OSError: It cannot be written.
    """
    path = folder.root / NAME
    if path.exists():
        bank = read_bank(folder)
        if _begins_with(bank, material.folds):
            return bank
    bank = bank_of(material, study)
    write_folds(bank, path)
    return bank


def read_bank(folder: StudyFolder) -> FoldTable:
    """The bank of a study.

    Raises:
        InputError: There is none, or the file was changed by hand.
    """
    path = folder.root / NAME
    try:
        return read_folds(path)
    except InputError as error:
        if not path.exists():
            raise
        remedy = "delete the file, and `radsearch run` or `rescore` makes the same bank again"
        raise InputError(
            f"{path}: the fold bank must be as it was frozen, but was changed: {remedy}"
        ) from error


def too_few(bank: FoldTable) -> str | None:
    """What to say of a bank with fewer than ten tables; None of a full one.

    >>> too_few(FoldTable(("a", "b"), ("p", "q"), np.array([[0, 1]]), 2))
    'only 1 fold table, not 10: the cohort is too small for more that differ'
    """
    count = len(bank.fold)
    if count == TABLES:
        return None
    tables = "1 fold table" if count == 1 else f"{count} fold tables"
    return f"only {tables}, not {TABLES}: the cohort is too small for more that differ"


def _distinct(tables: list[IntArray]) -> list[IntArray]:
    """The tables without those that hold the same biopsies out together as an earlier one does."""
    found: dict[bytes, IntArray] = {}
    for table in tables:
        found.setdefault(_renumbered(table).tobytes(), table)
    return list(found.values())


def _renumbered(table: IntArray) -> IntArray:
    """The folds numbered by their first biopsy, as the number alone makes no other table."""
    _, first, inverse = np.unique(table, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _begins_with(bank: FoldTable, own: FoldTable) -> bool:
    """Whether a bank is of these biopsies and tables."""
    same = (bank.biopsy_id, bank.participant_id, bank.n_folds) == (
        own.biopsy_id,
        own.participant_id,
        own.n_folds,
    )
    tables = _distinct(list(own.fold))[: len(bank.fold)]
    return same and all(np.array_equal(one, other) for one, other in zip(bank.fold, tables, strict=False))
