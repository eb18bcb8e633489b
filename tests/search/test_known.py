from __future__ import annotations

from pathlib import Path

import pytest

from models.spec import BaselineSpec
from search.catalogue import TRAITS, Catalogue
from search.known import KNOWN, resolve


def test_each_parameter_follows_those_of_its_condition() -> None:
    names = list(KNOWN)
    for name, known in KNOWN.items():
        assert all(names.index(parent) < names.index(name) for parent in known.applies)
        assert known.trait is None or known.trait in TRAITS


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.default is not None])
def test_each_default_is_legal_itself(name: str) -> None:
    known = KNOWN[name]
    assert isinstance(known.default, known.kind)
    assert not known.names or known.default in known.names
    if known.kind in (int, float):
        assert known.low <= float(known.default) < known.high


def test_the_defaults_of_shallow_models_are_theirs() -> None:
    spec = BaselineSpec("logistic")
    assert {name: KNOWN[name].default for name in vars(spec) if name in KNOWN} == {
        name: value for name, value in vars(spec).items() if name in KNOWN
    }


def test_conditions_are_spelt_out_in_the_architectures_offered() -> None:
    table = resolve(Catalogue(), ["resnet50", "small_cnn", "constant"], ["none", "imagenet"], {"flip": True})
    assert table["stem"].applies == {"architecture": ("resnet50",)}
    assert table["batch_size"].applies == {"architecture": ("resnet50", "small_cnn")}
    assert table["trainable_stages"].applies["weights"] == ("imagenet",)
    assert table["forest_leaf"].applies["architecture"] == ()
    assert table["flip"].default is True


def test_every_parameter_and_architecture_is_in_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "search-space.md").read_text()
    assert [name for name in (*KNOWN, *Catalogue().names) if f"`{name}`" not in text] == []
