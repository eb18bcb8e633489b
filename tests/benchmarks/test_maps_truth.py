"""What the benchmark of maps against the planted truth asks of the command line, and when it fails."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from search.parser import build_parser
from search.study_file import read_study


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("maps_truth")


ASKED = argparse.Namespace(trials=3, epochs=5, seeds=2, stride=4)


def test_every_command_is_one_that_the_command_line_knows(bench: ModuleType) -> None:
    for study in bench.STUDIES:
        called = {
            name: build_parser().parse_args([*map(str, command), "--home", "home"])
            for name, command in bench.commands(study, ASKED).items()
        }
        assert list(called) == ["run", "refit", "map"]
        assert (called["refit"].seeds, called["map"].stride) == (2, 4)
        assert called["map"].out_of_fold
        assert called["map"].score


def test_every_study_is_one_that_can_be_read(bench: ModuleType, tmp_path: Path) -> None:
    for name, text in bench.STUDIES.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(text.format(trials=3, epochs=5))
        assert read_study(path).name == name


@pytest.mark.parametrize(
    ("signal", "mean", "ratio", "holds"),
    [
        ("default", 0.4, 0.5, True),
        ("default", 0.05, 0.06, False),
        ("default", 0.8, 1.05, True),
        ("default", 0.9, 1.2, False),
        ("none", 0.05, None, True),
        ("none", -0.05, None, True),
        ("none", 0.1, None, False),
    ],
)
def test_it_fails_where_maps_know_nothing_or_too_much(
    bench: ModuleType, signal: str, mean: float, ratio: float | None, holds: bool
) -> None:
    error = None if ratio is None else 0.04
    score = {"mean": mean, "se": 0.03, "ratio": ratio, "ratio_se": error, "bound": 0.8, "significant": 2}
    found = bench.Outcome(signal, "features", score | {"scores": [{}] * 45}, {"run": 3.0})
    assert found.holds is holds
    line = bench.told(found)
    assert ("DOES NOT HOLD" in line) is not holds
    assert f"{mean:+.3f} +- 0.060 (2 SE, 45 maps)" in line
    assert ("ratio" in line) is (ratio is not None)
