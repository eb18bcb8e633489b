from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.log_values import PARAM_LENGTH, TAG_LENGTH, curve_points, param_texts, tag_texts

EPOCHS = st.lists(st.dictionaries(st.sampled_from("abc"), st.none() | st.floats()), max_size=6)


@given(st.text(max_size=20), st.integers(0, 3))
def test_a_long_value_is_cut_where_mlflow_would_refuse_it_and_shows_it(text: str, beyond: int) -> None:
    for texts, limit in ((param_texts, PARAM_LENGTH), (tag_texts, TAG_LENGTH)):
        long = text + "x" * (limit - len(text) + beyond)
        kept = texts({"name": long})["name"]
        assert len(kept) == limit
        assert kept == long if beyond == 0 else kept.endswith("…")


@given(EPOCHS, st.integers(0, 5))
def test_each_number_keeps_its_step_and_nothing_else_is_kept(
    epochs: list[dict[str, float | None]], first: int
) -> None:
    points = curve_points(epochs, first)
    assert all(points.values())
    for place, metrics in enumerate(epochs):
        kept = points.get(first + place, {})
        numbers = {n: v for n, v in metrics.items() if v is not None and abs(v) < float("inf")}
        assert kept == numbers
