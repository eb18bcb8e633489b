from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.discovery import discover
from search.domains import Choice, Range
from search.study_file import Study

HYPER = """
import keras
import keras_tuner


class Hyper(keras_tuner.HyperModel):
    def build(self, hp):
        patch = keras.Input((None, None, 9))
        kind = hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", "b"):
            hp.Float("rate", 0.1, 0.5)
        hp.Int("width", 2, 8, step=2)
        return keras.Model(patch, patch)
"""


@pytest.fixture
def study(make_study: Callable[..., Study], tmp_path: Path) -> Study:
    (tmp_path / "hyper.py").write_text(HYPER)
    changes = ("architectures.hyper.hypermodel=hyper.py:Hyper", "space.architecture=['hyper', 'small_cnn']")
    return make_study(tmp_path, *changes, "search.enqueue=[]")


def test_the_questions_of_a_hypermodel_are_parameters_with_conditions(study: Study) -> None:
    found = {parameter.name: parameter for parameter in discover(study, ["hyper"])["hyper"]}
    assert found["hyper.kind"].domain == Choice(("a", "b"))
    assert found["hyper.width"].domain == Range(2, 8, integer=True, step=2)
    assert found["hyper.rate[kind=b]"].domain == Range(0.1, 0.5)
    assert found["hyper.rate[kind=b]"].when == {"architecture": ("hyper",), "hyper.kind": ("b",)}


def test_a_hypermodel_that_cannot_be_built_is_one_clear_line(study: Study, tmp_path: Path) -> None:
    (tmp_path / "hyper.py").write_text("raise OSError('no such disk')")
    with pytest.raises(InputError, match="no such disk") as caught:
        discover(study, ["hyper"])
    assert len(caught.value.problems) == 1


def test_without_hypermodels_no_process_is_started(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.discovery.COMMAND", ("/nowhere",))
    assert discover(study, []) == {}
