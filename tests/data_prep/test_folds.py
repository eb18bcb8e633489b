import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_prep.folds import FoldTable, inner_split, make_folds, read_folds, write_folds
from data_prep.problems import InputError


def cohort(seed: int, participants: int = 45, biopsies: int = 150) -> tuple[list[str], list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    owners = np.concatenate(
        [np.arange(participants), rng.integers(participants, size=biopsies - participants)]
    )
    return (
        [f"b{k}" for k in range(biopsies)],
        [f"p{k}" for k in owners],
        rng.permutation(np.arange(biopsies) % 2),
    )


def table(seed: int = 0, n_folds: int = 5, repeats: int = 2) -> FoldTable:
    return make_folds(*cohort(0), n_folds, repeats, seed)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=2, max_size=14), st.integers(2, 6))
def test_every_feasible_cohort_gets_folds_with_both_classes_and_whole_participants(groups, n_folds):
    sizes = [(n, min(pos, n)) for n, pos in groups]
    both = sum(0 < pos < n for n, pos in sizes)
    only = min(sum(pos == n for n, pos in sizes), sum(pos == 0 for n, pos in sizes))
    owners = [f"p{k}" for k, (n, _) in enumerate(sizes) for _ in range(n)]
    label = np.array([int(j < pos) for n, pos in sizes for j in range(n)])
    names = [f"b{k}" for k in range(len(owners))]
    assume(n_folds <= len(sizes))
    if both + only < n_folds:
        with pytest.raises(InputError, match="both classes in each"):
            make_folds(names, owners, label, n_folds, 1, 0)
        return
    made = make_folds(names, owners, label, n_folds, 2, 0)
    for split in made.splits():
        assert not {owners[row] for row in split.train} & {owners[row] for row in split.test}
        assert set(label[split.test]) == {0, 1}
        assert sorted([*split.train, *split.test]) == list(range(len(owners)))


def test_folds_are_found_even_where_chance_alone_would_hardly_find_them():
    owners = [f"p{k}" for k in range(40)]
    label = np.arange(40) % 2
    # A random pairing puts one positive and one negative participant in each of 20 folds once in 1e5 times.
    splits = make_folds(owners, owners, label, 20, 1, 0).splits()
    assert all(label[split.test].sum() == 1 for split in splits)


def imbalance(fold: np.ndarray, label: np.ndarray) -> float:
    """Squared deviations of the folds' sizes, and four times those of their positives."""
    n, pos = np.bincount(fold, minlength=5), np.bincount(fold, weights=label, minlength=5)
    return float(((n - len(label) / 5) ** 2 + 4 * (pos - label.sum() / 5) ** 2).sum())


def test_folds_are_far_better_balanced_than_a_random_assignment():
    biopsies, owners, label = cohort(3)
    rng, names = np.random.default_rng(1), sorted(set(owners))
    deals = (dict(zip(names, rng.permutation(45) % 5, strict=True)) for _ in range(2000))
    random = [imbalance(np.array([deal[owner] for owner in owners]), label) for deal in deals]
    made = make_folds(biopsies, owners, label, 5, 10, 0)
    # The best of 200 is above the 5 % quantile of random ones with probability .95^200 = 4e-5.
    assert max(imbalance(fold, label) for fold in made.fold) <= np.quantile(random, 0.05)


def test_splits_are_numbered_over_the_repeats():
    splits = table(n_folds=3).splits()
    assert [(s.index, s.repeat, s.fold) for s in splits] == [
        (0, 0, 0),
        (1, 0, 1),
        (2, 0, 2),
        (3, 1, 0),
        (4, 1, 1),
        (5, 1, 2),
    ]


def test_the_same_seed_gives_the_same_folds_whatever_the_order_of_the_rows():
    biopsies, owners, label = cohort(0)
    order = np.random.default_rng(9).permutation(len(biopsies))
    shuffled = make_folds([biopsies[k] for k in order], [owners[k] for k in order], label[order], 5, 2, 0)
    assert np.array_equal(shuffled.fold, table().fold[:, order])
    assert table().hash == table().hash
    assert table(seed=1).hash != table().hash


def test_repeats_differ_from_each_other_and_do_not_depend_on_their_number():
    assert not np.array_equal(table().fold[0], table().fold[1])
    assert np.array_equal(table(repeats=1).fold[0], table(repeats=3).fold[0])


@given(st.sampled_from(["biopsy", "participant", "fold", "count", "order"]), st.integers(0, 11))
def test_any_change_changes_the_hash(change, row):
    fold = np.arange(12).reshape(1, 12) % 3
    biopsies, owners = [f"b{k}" for k in range(12)], [f"p{k}" for k in range(12)]
    good = FoldTable(tuple(biopsies), tuple(owners), fold, 3)
    if change == "biopsy":
        biopsies[row] += "x"
    elif change == "participant":
        owners[row] += "x"
    elif change == "fold":
        fold = fold.copy()
        fold[0, row] = (fold[0, row] + 1) % 3
    elif change == "count":
        fold = np.concatenate([fold, fold])
    else:
        biopsies = biopsies[1:] + biopsies[:1]
    assert FoldTable(tuple(biopsies), tuple(owners), fold, 3).hash != good.hash


def test_a_participant_that_straddles_folds_is_refused():
    made = table()
    fold = made.fold.copy()
    row = made.participant_id.index("p7")
    fold[1, row] = (fold[1, row] + 1) % 5
    with pytest.raises(InputError, match="a participant must lie in one fold, but p7 straddles several"):
        replace(made, fold=fold)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"n_folds": 6}, "each of 0 to 5 must be there in each repeat"),
        ({"biopsy_id": ("b0",) * 150}, "biopsies must be unique"),
        ({"participant_id": ("p0",)}, "one row a biopsy is needed"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(change, problem):
    with pytest.raises(InputError, match=problem):
        replace(table(), **change)


def test_a_table_is_read_back_and_its_hash_is_that_of_the_file(tmp_path):
    write_folds(table(), tmp_path / "home" / "folds.tsv")
    back = read_folds(tmp_path / "home" / "folds.tsv")
    assert back.hash == table().hash
    assert np.array_equal(back.fold, table().fold)
    rest = (tmp_path / "home" / "folds.tsv").read_bytes().split(b"\n", 1)[1]
    assert hashlib.sha256(rest).hexdigest() == back.hash
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["folds.tsv"]


def test_a_table_changed_by_hand_is_refused(tmp_path):
    path = tmp_path / "folds.tsv"
    write_folds(table(), path)
    path.write_text(path.read_text().replace("b17\t", "b17x\t"))
    with pytest.raises(InputError, match="folds are frozen, but the rows below have sha256"):
        read_folds(path)


@pytest.mark.parametrize("text", ["", "biopsy_id\n", "# folds x\n", "# folds 2\nheader\nb0\tp0\tzero\n"])
def test_a_file_that_is_no_fold_table_is_refused(tmp_path, text):
    path = tmp_path / "folds.tsv"
    path.write_text(f"# sha256 {hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    with pytest.raises(InputError, match="a fold table is needed"):
        read_folds(path)


def test_an_absent_fold_table_is_a_problem(tmp_path):
    with pytest.raises(InputError, match="the file cannot be read"):
        read_folds(tmp_path / "folds.tsv")


@pytest.mark.parametrize(
    ("n_folds", "repeats", "seed", "problem"),
    [
        (46, 1, 0, "validation.folds: 46 folds need as many participants, but got 45"),
        (1, 1, 0, "validation.folds: at least 2"),
        (5, 0, 0, "validation.repeats: 1 to 1000 are possible"),
        (5, 1, -1, "validation.seed: must not be negative"),
    ],
)
def test_impossible_folds_are_refused(n_folds, repeats, seed, problem):
    with pytest.raises(InputError, match=problem):
        make_folds(*cohort(0), n_folds, repeats, seed)


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_the_inner_split_is_grouped_balanced_and_has_both_classes(seed):
    _, owners, label = cohort(seed)
    fit, stop = inner_split(owners, label, seed)
    assert sorted([*fit, *stop]) == list(range(150))
    assert not {owners[row] for row in fit} & {owners[row] for row in stop}
    assert 24 <= len(stop) <= 36
    assert set(label[fit]) == set(label[stop]) == {0, 1}


def test_the_inner_split_works_with_two_participants_and_not_with_one():
    fit, stop = inner_split(["a", "b", "b"], np.array([0, 1, 1]), 0)
    assert (fit.tolist(), stop.tolist()) in (([0], [1, 2]), ([1, 2], [0]))
    with pytest.raises(InputError, match="'inner' needs two participants, but got 1"):
        inner_split(["a", "a"], np.array([0, 1]), 0)
