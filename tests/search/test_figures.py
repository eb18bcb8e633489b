from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from sklearn.metrics import roc_auc_score

from search.figures import (
    blank_figure,
    confusion_figure,
    fold_curves,
    mean_curve,
    roc_figure,
    save_figure,
)
from search.metrics import add_pairs, count_pairs


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 60)
    return label, np.round(np.clip(0.3 * label + rng.random(60) * 0.7, 0, 1), 1), np.arange(60) % 4


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_legend_names_the_auc_of_each_fold_as_sklearn_computes_it(scores):
    label, probability, fold = scores
    shown = legend(roc_figure(label, probability, fold, "Trial 3"))
    for number in range(4):
        auc = roc_auc_score(label[fold == number], probability[fold == number])
        assert f"fold {number}: AUC {auc:.2f}" in shown


def test_the_thick_curve_carries_the_study_s_own_within_fold_auc(scores):
    label, probability, fold = scores
    pairs = add_pairs(count_pairs(label[fold == k], probability[fold == k]) for k in range(4))
    assert f"within folds: AUC {pairs.auc:.2f}" in legend(roc_figure(label, probability, fold, "Trial 3"))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 20))
def test_the_area_under_the_drawn_mean_curve_is_its_auc(seed, folds, size):
    rng = np.random.default_rng(seed)
    label = np.tile([0, 1], folds * size)
    curves = fold_curves(label, np.round(rng.random(len(label)), 1), rng.integers(0, folds, len(label)))
    mean = mean_curve(curves)
    assert np.trapezoid(mean.tpr, mean.fpr) == pytest.approx(mean.auc)
    assert (np.diff(mean.tpr) >= -1e-12).all()


def test_a_fold_of_one_class_has_no_curve(scores):
    label, probability, fold = scores
    label = np.where(fold == 2, 1, label)
    shown = "\n".join(legend(roc_figure(label, probability, fold, "Trial 3")))
    assert "fold 1:" in shown
    assert "fold 2:" not in shown


def test_a_roc_figure_without_any_curve_says_why(scores):
    label, probability, fold = scores
    figure = roc_figure(np.zeros_like(label), probability, fold, "Trial 3")
    assert texts(figure) == ["no fold holds both classes"]


def test_many_folds_are_summed_up_in_one_line_of_the_legend():
    label, probability = np.tile([0, 1], 48), np.tile([0.2, 0.8, 0.6, 0.4], 24)
    shown = legend(roc_figure(label, probability, np.arange(96) // 4, "Trial 3"))
    assert shown == ["chance: AUC 0.50", "within folds: AUC 0.75\n(24 folds, 0.75 to 0.75)"]


def test_the_confusion_matrix_has_the_truth_in_rows():
    label, predicted = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 1, 1])
    figure = confusion_figure(label, predicted, "Trial 3", ("low", "high"))
    shown = {
        tuple(np.round(text.get_position()).astype(int)): text.get_text()
        for text in figure.axes[0].texts[::2]
    }
    assert shown == {(0, 0): "2", (1, 0): "1", (0, 1): "1", (1, 1): "3"}
    assert "67% of low" in texts(figure)
    assert figure.axes[0].get_title() == "Trial 3\n5 of 7 right"


def test_a_saved_figure_is_a_png_of_the_stated_size_on_white(tmp_path):
    path = save_figure(blank_figure(4, 3), tmp_path / "deep" / "down" / "figure.png")
    pixels = imread(path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert pixels.shape == (330, 440, 4)
    assert (pixels == 1).all()
    assert [entry.name for entry in path.parent.iterdir()] == ["figure.png"]


def test_a_failed_save_leaves_the_old_picture_and_nothing_half_written(tmp_path, monkeypatch):
    path = save_figure(blank_figure(4, 3), tmp_path / "figure.png")
    before = path.read_bytes()
    broken = blank_figure(4, 3)

    def write_a_little(target, **_):
        target.write_bytes(b"\x89PNG")
        raise OSError("disk full")

    monkeypatch.setattr(broken, "savefig", write_a_little)
    with pytest.raises(OSError, match="disk full"):
        save_figure(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_does_not_load_pyplot(scores, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    save_figure(roc_figure(*scores, "Trial 3"), tmp_path / "roc.png")
    assert "matplotlib.pyplot" not in sys.modules
