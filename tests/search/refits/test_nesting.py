from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from data_prep.features import load_features
from data_prep.folds import FoldTable, make_folds
from data_prep.labels import LabelDefinition, Labels
from data_prep.problems import InputError
from search.baseline import fit_shallow
from search.errors import StudyStoppedError
from search.fold import Task, run_fold
from search.home import Home
from search.material import Material, prepare
from search.records import FoldResult
from search.refits.configurations import draw_configurations
from search.refits.fit import Fit
from search.refits.nesting import Validated, inner_splits, inner_tables, outer_table, validate
from search.refits.pipeline import Chooser, Results
from search.statistics.selection import Rule
from search.statistics.sums import Sums
from search.study_file import Study, read_study
from tests.search.refits.stand_in import Toy, chooser, toy

MEANS = """
name = "means"
cohort = "cohort"
[validation]
folds = 3
[training]
early_stopping = "none"
[space]
architecture = ["roi_means"]
patch_radius = { low = 1, high = 4 }
regularisation = { low = 0.01, high = 100.0, log = true }
"""


@pytest.fixture(scope="module")
def means(
    make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Study, Material, Home]:
    folder = tmp_path_factory.mktemp("means")
    make_cohort(folder / "cohort", participants=15, biopsies=45)
    (folder / "study.toml").write_text(MEANS)
    study, home = read_study(folder / "study.toml"), Home.at(folder / "home")
    return study, prepare(study, home, frozen=False), home


def validated(
    search: Chooser,
    material: Material,
    table: FoldTable,
    inner: int,
    seed: int,
    fitted: Callable[[Sequence[Fit]], Results],
) -> Validated:
    return validate(search, material, table, inner_tables(material, table, inner, seed), fitted)


def plainly(study: Study, material: Material, home: Home, count: int) -> list[tuple[int, float, float]]:
    """As one would write it down; of each outer fold the place of the best, its inner and its outer AUC."""
    configs = draw_configurations(study, count, 0)
    features = [
        load_features(
            "roi_means", material.source, material.patches, int(c.settings["patch_radius"]), home.cache
        ).values
        for c in configs
    ]
    y, ids = material.labels.label, material.patches

    def predicted(place: int, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        c = 1 / float(configs[place].settings["regularisation"])
        model = make_pipeline(
            SimpleImputer(), StandardScaler(), LogisticRegression(C=c, tol=1e-8, max_iter=10_000)
        )
        return np.asarray(
            model.fit(features[place][train], y[train]).predict_proba(features[place][test])[:, 1]
        )

    def mean_auc(answers: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
        """Over folds, each with the weight of its pairs."""
        pairs = [int(y[test].sum() * (1 - y[test]).sum()) for test, _ in answers]
        return float(np.average([roc_auc_score(y[test], p) for test, p in answers], weights=pairs))

    found = []
    for number, outer in enumerate(material.folds.splits()):
        seed = int(np.random.SeedSequence([study.validation.seed, number]).generate_state(1)[0])
        train = outer.train
        biopsies, people = ([names[row] for row in train] for names in (ids.biopsy_id, ids.participant_id))
        inner = make_folds(biopsies, people, y[train], 4, 1, seed).fold[0]
        values = []
        for place in range(count):
            parts = [(train[inner != k], train[inner == k]) for k in range(4)]
            values.append(mean_auc([(test, predicted(place, fit, test)) for fit, test in parts]))
        best = int(np.argmax(values))
        found.append(
            (best, values[best], float(roc_auc_score(y[outer.test], predicted(best, train, outer.test))))
        )
    return found


def test_it_is_nested_cross_validation_as_one_would_write_it_down(
    means: tuple[Study, Material, Home],
) -> None:
    study, material, home = means

    def fitted(fits: Sequence[Fit]) -> Results:
        return [
            run_fold(Task.of_fit(material, study, fit), lambda t: fit_shallow(t, home.cache)) for fit in fits
        ]

    search = Chooser(draw_configurations(study, 4, 0), Rule("argmax"), "roc_auc")
    found = validated(search, material, material.folds, 4, study.validation.seed, fitted)
    with threadpool_limits(1):
        expected = plainly(study, material, home, 4)
    assert [fold.selected for fold in found.folds] == [(best,) for best, _, _ in expected]
    assert [fold.inner for fold in found.folds] == pytest.approx(
        [inner for _, inner, _ in expected], abs=1e-6
    )
    assert [fold.outer for fold in found.folds] == pytest.approx(
        [outer for _, _, outer in expected], abs=1e-6
    )
    assert (found.fits, found.failed) == (3 * (4 * 4 + 1), 0)


def fitted_by(cohort: Toy) -> Callable[[Sequence[Fit]], Results]:
    return lambda fits: [cohort.fit(fit) for fit in fits]


def test_an_ensemble_is_refitted_member_by_member_and_ranked_within_the_outer_fold() -> None:
    cohort, search = toy(0, people=15), chooser(rule=Rule("rank-average", top=2))
    table = cohort.table()
    found = validated(search, cohort.material, table, 4, 0, fitted_by(cohort))
    for split, fold in zip(table.splits(), found.folds, strict=True):
        ranks = []
        for member in fold.selected:
            answers = np.array(cohort.fit(Fit.of(search.configs[member], split)).probabilities)
            ranks.append([(answers < p).sum() + ((answers == p).sum() + 1) / 2 for p in answers])
        score = np.mean(ranks, axis=0) / (len(split.test) + 1)
        assert found.outputs.score[0, split.test] == pytest.approx(score)
    assert found.fits == 3 * (4 * 4 + 2)


def test_no_fit_that_decides_an_outer_fold_sees_a_participant_of_it() -> None:
    cohort, seen = toy(1, people=15), list[Fit]()

    def fitted(fits: Sequence[Fit]) -> Results:
        seen.extend(fits)
        return [cohort.fit(fit) for fit in fits]

    table, inner = cohort.table(), 4
    validated(chooser(), cohort.material, table, inner, 0, fitted)
    for number, outer in enumerate(table.splits()):
        held_out = set(cohort.participant[outer.test])
        own = seen[number * 4 * inner : (number + 1) * 4 * inner]
        for fit in own:
            train, test = (set(cohort.participant[list(rows)]) for rows in (fit.train, fit.test))
            assert not (train | test) & held_out
            assert not train & test
        assert sorted(row for fit in own[:inner] for row in fit.test) == sorted(outer.train)


def test_labels_of_an_outer_fold_do_not_change_what_is_selected_for_it() -> None:
    cohort = toy(2, people=15)
    table = cohort.table()
    first = table.splits()[0]
    flipped = cohort.label.copy()
    flipped[first.test] = 1 - flipped[first.test]
    other = Toy(cohort.features, flipped, cohort.participant)
    one, two = (validated(chooser(), c.material, table, 4, 0, fitted_by(c)) for c in (cohort, other))
    assert (one.folds[0].selected, one.folds[0].inner) == (two.folds[0].selected, two.folds[0].inner)
    assert one.outputs.score[0, first.test].tolist() == two.outputs.score[0, first.test].tolist()


def test_the_luck_of_a_large_search_shows_inside_and_not_outside() -> None:
    """Without signal the best of 30 features looks good where it was chosen, and is .5 where it was not."""
    inner, outer = [], []
    for seed in range(8):
        cohort, search = toy(seed, people=15, features=30), chooser(30)
        found = validated(search, cohort.material, cohort.table(), 3, 0, fitted_by(cohort))
        inner += [fold.inner or 0.0 for fold in found.folds]
        outer.append(Sums("roc_auc", found.outputs).value(found.outputs) or 0.0)
    assert np.mean(inner) > 0.65
    assert abs(np.mean(outer) - 0.5) < 3 * 0.1 / np.sqrt(8)


def test_more_outer_tables_begin_with_the_studys_own(means: tuple[Study, Material, Home]) -> None:
    study, material, _ = means
    one, three = (outer_table(material, study.validation, repeats) for repeats in (1, 3))
    assert one.hash == material.folds.hash
    assert three.fold[0].tolist() == material.folds.fold[0].tolist()
    assert len({tuple(row) for row in three.fold.tolist()}) == 3


def test_repeats_of_the_outer_table_are_rows_of_the_outputs() -> None:
    cohort = toy(3, people=15)
    patches = cohort.material.patches
    table = make_folds(patches.biopsy_id, patches.participant_id, cohort.label, 3, 2, 0)
    found = validated(chooser(), cohort.material, table, 3, 0, fitted_by(cohort))
    assert found.outputs.score.shape == (2, 45)
    assert [(fold.repeat, fold.fold) for fold in found.folds] == [(r, k) for r in range(2) for k in range(3)]
    assert not np.array_equal(found.outputs.fold[0], found.outputs.fold[1])


def test_inner_folds_are_stratified_by_the_labels_that_the_outer_training_biopsies_have() -> None:
    """With a cut of each training set's own the held-out biopsies' expression decides no inner fold."""
    cohort, tpm = toy(0, people=15), np.random.default_rng(0).lognormal(size=(45, 1))
    outer = cohort.table().splits()[0]
    lower, higher = tpm.copy(), tpm.copy()
    lower[outer.test], higher[outer.test] = 0.0, 99.0
    found = []
    for values in (lower, higher):
        table = tuple(f"b{row:03d}" for row in range(45))
        definition = LabelDefinition(("A",), threshold_from="training")
        cut = float(np.median(values))
        label = (values[:, 0] > cut).astype(np.int64)
        material = cohort.material
        material.labels = Labels(table, values, values[:, 0], label, cut, definition)
        found.append([split.test.tolist() for split in inner_splits(material, outer, 4, 0)])
        own = values[outer.train, 0] > np.median(values[outer.train])
        positives = [own[np.isin(outer.train, test)].sum() for test in found[-1]]
        assert max(positives) - min(positives) <= 2
    assert found[0] == found[1]


def test_too_few_training_biopsies_for_the_inner_folds_are_told_by_the_flag() -> None:
    cohort = toy(0, people=6)
    with pytest.raises(
        InputError, match="outer fold 0: --inner: 9 folds need as many participants, but got 4"
    ):
        inner_splits(cohort.material, cohort.table().splits()[0], 9, 0)


def test_members_that_cannot_be_fitted_again_are_left_out_and_none_is_an_end() -> None:
    cohort, search = toy(0, people=15), chooser(rule=Rule("rank-average", top=2))

    def fails_after(fits: Sequence[Fit], failing: int) -> list[FoldResult | None]:
        is_inner = len(fits) > 6
        return [
            cohort.fit(fit) if is_inner or place % 2 >= failing else None for place, fit in enumerate(fits)
        ]

    found = validated(search, cohort.material, cohort.table(), 4, 0, lambda fits: fails_after(fits, 1))
    assert found.failed == 3
    with pytest.raises(
        StudyStoppedError, match="outer fold 0: nothing that was selected could be fitted again"
    ):
        validated(search, cohort.material, cohort.table(), 4, 0, lambda fits: fails_after(fits, 2))
    with pytest.raises(
        StudyStoppedError, match="outer fold 0: no configuration could be fitted on all inner"
    ):
        validated(search, cohort.material, cohort.table(), 4, 0, lambda fits: [None] * len(fits))
