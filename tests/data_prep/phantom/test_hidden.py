from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.phantom.hidden import draw_eta, draw_grain, draw_hidden, draw_log_level, draw_offset
from data_prep.phantom.plan import make_plan
from data_prep.phantom.spec import PhantomSpec

PLAN = make_plan(PhantomSpec(participants=400, biopsies=400, size=24, repeats=400))

TEXTURE = make_plan(replace(PLAN.spec, kind="texture"))
INTERACTION = make_plan(replace(PLAN.spec, kind="interaction"))


def test_the_participants_share_of_the_variance_is_tau2() -> None:
    far = np.array([draw_hidden(PLAN, index).at([0.0, 23.0], [0.0], [0.0]).ravel() for index in range(400)])
    assert far.var() == pytest.approx(1, abs=0.15)
    assert (far[:, 0] * far[:, 1]).mean() == pytest.approx(0.3, abs=0.15)


def test_the_null_field_is_another_one() -> None:
    pairs = [
        [draw_hidden(PLAN, index, name).at([9.0], [9.0], [9.0]).item() for name in ("field", "null")]
        for index in range(400)
    ]
    assert abs(np.corrcoef(np.transpose(pairs))[0, 1]) < 0.15


def test_offsets_follow_the_scanner() -> None:
    for index in range(4):
        same = PLAN.scanner[index, 0] == PLAN.scanner[index, 1]
        assert (draw_offset(PLAN, index, 0, 3) == draw_offset(PLAN, index, 1, 3)) is bool(same)


def test_offsets_have_the_stated_variance() -> None:
    offsets = [draw_offset(PLAN, index, 0, sequence) for index in range(100) for sequence in range(9)]
    assert np.var(offsets) == pytest.approx(0.25, abs=0.05)


def test_noise_is_new_in_every_image() -> None:
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    assert len({draw_eta(PLAN, *key).at([5.0], [5.0], [5.0]).item() for key in keys}) == 4
    assert len({draw_grain(TEXTURE, *key)[5, 5, 5].item() for key in keys}) == 4


def test_an_interaction_is_the_product_of_two_independent_fields() -> None:
    drawn = [draw_hidden(INTERACTION, index) for index in range(400)]
    pairs = np.array([[field.at([9.0], [9.0], [9.0]).item() for field in one.fields] for one in drawn])
    products = [one.at([9.0], [9.0], [9.0]).item() for one in drawn]
    np.testing.assert_allclose(products, pairs.prod(axis=1), rtol=1e-6)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.15
    assert np.var(products) == pytest.approx(1, abs=0.4)


def test_the_null_of_an_interaction_shares_neither_field() -> None:
    fields = [*draw_hidden(INTERACTION, 0).fields, *draw_hidden(INTERACTION, 0, "null").fields]
    assert len({field.level for field in fields}) == 4


def test_levels_of_a_texture_follow_the_scanner_and_have_the_stated_deviation() -> None:
    for index in range(4):
        same = TEXTURE.scanner[index, 0] == TEXTURE.scanner[index, 1]
        assert (draw_log_level(TEXTURE, index, 0) == draw_log_level(TEXTURE, index, 1)) is bool(same)
    assert np.std([draw_log_level(TEXTURE, index, 0) for index in range(400)]) == pytest.approx(0.42, rel=0.1)
