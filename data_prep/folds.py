"""Cross-validation folds: participants never straddle them, and a hash freezes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, IntArray
from data_prep.files import whole_file
from data_prep.problems import InputError, Problems

# Random assignments among which the best balanced is taken, and the weight of positives in the balance.
_CANDIDATES = 200
_POSITIVE_WEIGHT = 4.0

# Far beyond what narrows an estimate; a seed is drawn for each.
MAX_REPEATS = 1000

# Part of the participants' biopsies that early stopping watches.
_STOP_PART = 0.2

_HASH_MARK = "# sha256 "
_COUNT_MARK = "# folds "


@dataclass(frozen=True, eq=False)
class Split:
    """One fold of one repeat.

    Attributes:
        index: Over all repeats: repeat * n_folds + fold.
        repeat: Which repeat.
        fold: Which fold of it is held out.
        train: Rows to learn from.
        test: Rows held out.
    """

    index: int
    repeat: int
    fold: int
    train: IntArray
    test: IntArray


@dataclass(frozen=True, eq=False)
class FoldTable:
    """Which fold each of n biopsies is held out in.

    Attributes:
        biopsy_id: n names.
        participant_id: n names.
        fold: Shape (repeats, n), 0 to n_folds - 1.
        n_folds: How many.

    Raises:
        InputError: A participant straddles folds, or the shapes do not fit.
    """

    biopsy_id: tuple[str, ...]
    participant_id: tuple[str, ...]
    fold: IntArray
    n_folds: int

    def __post_init__(self) -> None:
        n = len(self.biopsy_id)
        if len(self.participant_id) != n or self.fold.ndim != 2 or self.fold.shape[1] != n or not n:
            raise InputError(f"folds: one row a biopsy is needed, but got {n} names and {self.fold.shape}.")
        if len(set(self.biopsy_id)) < n:
            raise InputError("folds: biopsies must be unique, but one is repeated.")
        if any(set(row) != set(range(self.n_folds)) for row in self.fold.tolist()):
            raise InputError(
                f"folds: each of 0 to {self.n_folds - 1} must be there in each repeat, and no other."
            )
        for name, rows in _rows_by_participant(self.participant_id).items():
            if np.any(self.fold[:, rows] != self.fold[:, rows[:1]]):
                raise InputError(f"folds: a participant must lie in one fold, but {name} straddles several.")

    @property
    def hash(self) -> str:
        """Sha256 over the canonical text of the table."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def text(self) -> str:
        """Number of folds, then tab-separated one row a biopsy, one column a repeat."""
        header = ["biopsy_id", "participant_id", *(f"repeat_{r}" for r in range(len(self.fold)))]
        rows = [
            [biopsy, participant, *map(str, folds)]
            for biopsy, participant, folds in zip(
                self.biopsy_id, self.participant_id, self.fold.T.tolist(), strict=True
            )
        ]
        table = "".join("\t".join(cells) + "\n" for cells in [header, *rows])
        return f"{_COUNT_MARK}{self.n_folds}\n{table}"

    def splits(self) -> tuple[Split, ...]:
        """All folds of all repeats, in order."""
        return tuple(
            Split(
                repeat * self.n_folds + fold,
                repeat,
                fold,
                np.flatnonzero(self.fold[repeat] != fold).astype(np.int64),
                np.flatnonzero(self.fold[repeat] == fold).astype(np.int64),
            )
            for repeat in range(len(self.fold))
            for fold in range(self.n_folds)
        )


def make_folds(
    biopsy_id: Sequence[str],
    participant_id: Sequence[str],
    label: IntArray,
    n_folds: int,
    repeats: int,
    seed: int,
) -> FoldTable:
    """Assign participants to folds, each repeat the best balanced of 200 random assignments.

    Balance is `sum_k (n_k - n/K)^2 + 4 (pos_k - pos/K)^2` over folds k of n_k biopsies, pos_k of them
    positive; every fold has both classes.

    Args:
        biopsy_id: n names.
        participant_id: n names.
        label: 0 or 1, shape (n,).
        n_folds: At least 2.
        repeats: 1 to 1000.
        seed: The same seed gives the same table, whatever the order of the rows.

    Raises:
        InputError: More folds than participants, or not enough participants with either class.
    """
    problems = Problems()
    if n_folds < 2:
        problems.add("validation.folds", f"at least 2 are needed, but got {n_folds}.")
    if not 1 <= repeats <= MAX_REPEATS:
        problems.add("validation.repeats", f"1 to {MAX_REPEATS} are possible, but got {repeats}.")
    if seed < 0:
        problems.add("validation.seed", f"must not be negative, but got {seed}.")
    problems.raise_any()
    groups = _rows_by_participant(participant_id)
    count, positive = _counts(groups, label)
    _check_feasible(n_folds, count, positive)
    codes = np.empty(len(biopsy_id), dtype=np.int64)
    for code, rows in enumerate(groups.values()):
        codes[rows] = code
    rngs = [np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(repeats)]
    fold = np.stack([_best_assignment(rng, n_folds, count, positive)[codes] for rng in rngs])
    return FoldTable(tuple(biopsy_id), tuple(participant_id), fold, n_folds)


def _rows_by_participant(participant_id: Sequence[str]) -> dict[str, IntArray]:
    """Rows of each participant, by sorted name."""
    names, inverse = np.unique(np.asarray(participant_id, dtype=str), return_inverse=True)
    return {str(name): np.flatnonzero(inverse == code) for code, name in enumerate(names)}


def _counts(groups: dict[str, IntArray], label: IntArray) -> tuple[DoubleArray, DoubleArray]:
    """Biopsies and positive biopsies of each participant."""
    count = np.array([len(rows) for rows in groups.values()], dtype=np.float64)
    positive = np.array([label[rows].sum() for rows in groups.values()], dtype=np.float64)
    return count, positive


def _check_feasible(n_folds: int, count: DoubleArray, positive: DoubleArray) -> None:
    """Folds without a participant of both classes need one of each class."""
    where = f"validation.folds: {n_folds} folds need"
    if n_folds > len(count):
        raise InputError(f"{where} as many participants, but got {len(count)}. Ask for fewer folds.")
    both, only_positive, only_negative = _kinds(count, positive)
    rest = n_folds - int(both.sum())
    if min(only_positive.sum(), only_negative.sum()) < rest:
        raise InputError(
            f"{where} both classes in each, but of {len(count)} participants {int(both.sum())} have both, "
            f"{int(only_positive.sum())} only positive and {int(only_negative.sum())} only negative ones. "
            "Ask for fewer folds."
        )


def _kinds(count: DoubleArray, positive: DoubleArray) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Participants with both classes, with positives only, with negatives only."""
    return (positive > 0) & (positive < count), positive == count, positive == 0


def _best_assignment(
    rng: np.random.Generator, n_folds: int, count: DoubleArray, positive: DoubleArray
) -> IntArray:
    """The fold of each participant."""
    dealt = np.arange(len(count)) % n_folds
    candidates = np.stack([rng.permutation(dealt) for _ in range(_CANDIDATES)])
    cost = _imbalance(candidates, n_folds, count, positive)
    if not np.isfinite(cost).any():
        candidates = np.stack([_covering(rng, n_folds, count, positive) for _ in range(_CANDIDATES)])
        cost = _imbalance(candidates, n_folds, count, positive)
    return np.asarray(candidates[int(cost.argmin())], dtype=np.int64)


def _imbalance(candidates: IntArray, n_folds: int, count: DoubleArray, positive: DoubleArray) -> DoubleArray:
    """Cost of each candidate (rows); infinite where a fold lacks a class."""
    member = candidates[:, :, None] == np.arange(n_folds)
    n = np.einsum("cpk,p->ck", member, count)
    pos = np.einsum("cpk,p->ck", member, positive)
    cost = (n - count.sum() / n_folds) ** 2 + _POSITIVE_WEIGHT * (pos - positive.sum() / n_folds) ** 2
    one_class = ((pos == 0) | (pos == n)).any(axis=1)
    return np.where(one_class, np.inf, cost.sum(axis=1))


def _covering(rng: np.random.Generator, n_folds: int, count: DoubleArray, positive: DoubleArray) -> IntArray:
    """A random assignment that gives each fold both classes, for cohorts where that is rare by chance."""
    both, only_positive, only_negative = (
        rng.permutation(np.flatnonzero(kind)) for kind in _kinds(count, positive)
    )
    folds = rng.permutation(n_folds)
    covered = min(len(both), n_folds)
    rest = folds[covered:]
    assignment = rng.integers(n_folds, size=len(count))
    assignment[both[:covered]] = folds[:covered]
    assignment[only_positive[: len(rest)]] = rest
    assignment[only_negative[: len(rest)]] = rest
    return assignment


def inner_split(participant_id: Sequence[str], label: IntArray, seed: int) -> tuple[IntArray, IntArray]:
    """Split rows into about 80 % to fit and 20 % by which early stopping is decided.

    Participants stay whole. Both sides have both classes where any of 200 random splits manages that; the
    best balanced one, in the sense of `make_folds`, is taken.

    Args:
        participant_id: n names.
        label: 0 or 1, shape (n,).
        seed: The same seed gives the same split.

    Returns:
        Rows to fit and rows to watch, sorted.

    Raises:
        InputError: Fewer than two participants.
    """
    groups = _rows_by_participant(participant_id)
    if len(groups) < 2:
        raise InputError(f"training.early_stopping: 'inner' needs two participants, but got {len(groups)}.")
    count, positive = _counts(groups, label)
    rng = np.random.default_rng(seed)
    orders = np.stack([rng.permutation(len(groups)) for _ in range(_CANDIDATES)])
    watched = np.stack([_watched(order, count) for order in orders])
    n, pos = watched @ count, watched @ positive
    cost = (n - _STOP_PART * count.sum()) ** 2
    cost += _POSITIVE_WEIGHT * (pos - _STOP_PART * positive.sum()) ** 2
    fit_n, fit_pos = count.sum() - n, positive.sum() - pos
    lacking = sum((side == 0).astype(int) for side in (pos, n - pos, fit_pos, fit_n - fit_pos))
    best = watched[int(np.lexsort((cost, lacking))[0])]
    stop = np.concatenate([rows for rows, chosen in zip(groups.values(), best, strict=True) if chosen])
    return np.setdiff1d(np.arange(len(label)), stop), np.sort(stop)


def _watched(order: IntArray, count: DoubleArray) -> BoolArray:
    """The first participants of an order whose biopsies come nearest to the part that is watched."""
    distance = np.abs(np.cumsum(count[order])[:-1] - _STOP_PART * count.sum())
    chosen = np.zeros(len(count), dtype=np.bool_)
    chosen[order[: int(distance.argmin()) + 1]] = True
    return chosen


def write_folds(table: FoldTable, path: Path) -> None:
    """Write the table below its hash (that of the rest of the file), whole or not at all."""
    with whole_file(path) as new:
        new.write_text(f"{_HASH_MARK}{table.hash}\n{table.text()}", encoding="utf-8", newline="\n")


def read_folds(path: Path) -> FoldTable:
    """Read a table that `write_folds` wrote.

    Raises:
        InputError: The file was changed since, is no fold table, or a participant straddles folds.
    """
    try:
        first, _, text = path.read_bytes().decode().partition("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: a fold table is needed, but the file cannot be read: {error}.") from error
    found = hashlib.sha256(text.encode()).hexdigest()
    if first != f"{_HASH_MARK}{found}":
        raise InputError(
            f"{path}: row 1: folds are frozen, but the rows below have sha256 {found} and not "
            f"'{first.removeprefix(_HASH_MARK)}'. Bring the file back, or start a study under another name."
        )
    try:
        return _parse(text)
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: a fold table is needed, but: {error}") from error


def _parse(text: str) -> FoldTable:
    count, _, *lines = text.splitlines()
    cells = [line.split("\t") for line in lines]
    fold = np.array([row[2:] for row in cells]).astype(np.int64).T
    biopsies, participants = (tuple(row[column] for row in cells) for column in (0, 1))
    return FoldTable(biopsies, participants, fold, int(count.removeprefix(_COUNT_MARK)))
