"""What `refit`, `predict` and `map` take, and what may not stand together."""

from __future__ import annotations

import argparse

import pytest

from search.parser import build_parser


def parse(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(list(words))


def test_what_is_not_given_has_a_default() -> None:
    refit = parse("refit", "s")
    assert (refit.trial, refit.seeds, refit.name, refit.out) == (None, 3, None, None)
    assert (refit.skip_folds, refit.skip_explanations, refit.skip_registering) == (False, False, False)
    predict = parse("predict", "m", "c", "--out", "p.tsv")
    assert (predict.model, predict.cohort, predict.sites, predict.out_of_fold) == ("m", "c", None, False)
    drawn = parse("map", "m", "c", "--participant", "sub-001", "--out", "d")
    assert (drawn.within, drawn.mask, drawn.stride, drawn.score, drawn.truth) == (
        "auto",
        None,
        1,
        False,
        None,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("map", "m", "c", "--out", "d"), "--participant --all"),
        (("map", "m", "c", "--out", "d", "--participant", "a", "--all"), "not allowed with"),
        (("map", "m", "c", "--out", "d", "--all", "--mask", "f", "--within", "head"), "not allowed with"),
        (("map", "m", "c", "--out", "d", "--all", "--within", "leg"), "invalid choice"),
        (("map", "m", "c", "--out", "d", "--all", "--stride", "0"), "a whole number from 1 on"),
        (("map", "m", "c", "--all"), "--out"),
        (("predict", "m", "c"), "--out"),
        (("refit", "s", "--seeds", "0"), "a whole number from 1 on"),
    ],
)
def test_wrong_usage_is_told(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    assert ended.value.code == 2
    assert told in " ".join(capsys.readouterr().err.replace("\n", " ").split())
