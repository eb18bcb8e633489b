"""Maps of several participants; tests/search/maps/test_map_command.py draws real ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data_prep.problems import InputError
from search.maps import several
from search.maps.asking import Asked
from search.maps.making import Made
from search.maps.several import Order, draw_several

PEOPLE = ("a", "b", "c")


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of "a" there are maps, the images of "b" are at fault, "c" is in the training set."""

    def make(asking: object, predictor: object, who: str, fold: int | None, out: Path, *_: object) -> Made:
        if who == "b":
            raise InputError("no voxel")
        return Made(who, out / who, {}, ("scene",), ())  # type: ignore[arg-type]

    monkeypatch.setattr(several, "make_maps", make)
    monkeypatch.setattr(several, "look", lambda _, people, *__: Asked(dict.fromkeys(people, 1), {}))
    monkeypatch.setattr(several, "Predictors", lambda _: SimpleNamespace(of=lambda fold: None))
    monkeypatch.setattr(
        several, "kept_maps", lambda _, people, out, *__: [Made("a", out / "a", {"old": True}, (), ())]
    )
    return SimpleNamespace(out_of_fold=False, model=SimpleNamespace(folds=3))


def test_the_maps_are_in_the_order_of_the_cohort_those_of_before_among_them(
    asking: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = draw_several(asking, Order(PEOPLE[::-1], tmp_path, overall=True))
    assert [one.participant for one in found.made] == ["c", "a"]
    assert [one.record for one in found.made] == [{}, {"old": True}]
    assert found.failed == {"b": ("no voxel",)}
    assert all(one.scenes == () for one in found.made)
    told = capsys.readouterr().err
    assert "kept 1 map from before" in told
    assert "the model learned from c, b" in told


def test_alone_nothing_is_kept_and_a_fault_is_an_error(asking: Any, tmp_path: Path) -> None:
    assert draw_several(asking, Order(("a",), tmp_path)).made[0].record == {}
    with pytest.raises(InputError, match="no voxel"):
        draw_several(asking, Order(("b",), tmp_path))
