from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.report import style
from search.report.style import (
    add_legend,
    bare_axes,
    draw_on,
    fitted,
    plain_axes,
    printable,
    svg,
    text_width,
    write,
)
from tests.search.report.drawn import ODD, check_svg, texts

SVG = "{http://www.w3.org/2000/svg}"


def small(text: str = "hello"):
    figure = draw_on(2.0, "A title & <more>")
    axes = plain_axes(figure, 0.5, 0.5, 0.1, 0.1)
    line = axes.plot([0, 1], [0, 1], marker="o")[0]
    axes.fill_between([0, 1], [0, 0.5], [0.2, 1])
    write(axes, 0.2, 0.6, text)
    add_legend(axes, {"_hidden $x$": line})
    return figure


def test_markup_is_whole_of_unique_ids_and_loads_nothing() -> None:
    markup = svg(small(ODD))
    assert markup.startswith("<svg")
    check_svg(markup)


def test_letters_stay_letters_of_a_generic_family_whatever_they_are() -> None:
    root = check_svg(svg(small(ODD)))
    found = ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]
    assert ODD in found
    assert "_hidden $x$" in found
    assert "DejaVu" not in svg(small())
    assert "sans-serif" in svg(small())


def test_a_screen_reader_is_told_the_figure_s_description() -> None:
    root = check_svg(svg(small()))
    title = root[0]
    assert title.tag == f"{SVG}title"
    assert title.text == "A title & <more>"
    assert root.attrib["aria-labelledby"] == title.attrib["id"]
    assert root.attrib["role"] == "img"


def test_the_same_figure_is_the_same_bytes_and_another_name_other_ids() -> None:
    assert svg(small()) == svg(small())
    page = svg(small(), "first") + svg(small(), "second")
    check_svg(f"<div>{page}</div>".replace('xmlns="http://www.w3.org/2000/svg" ', ""))


def test_two_figures_on_a_page_share_no_id() -> None:
    check_svg(f"<div>{svg(small('one'))}{svg(small('two'))}</div>")


def test_the_picture_scales_with_its_place_up_to_its_own_size() -> None:
    root = check_svg(svg(draw_on(2.0, "x", width=5.0)))
    assert root.attrib["width"] == "100%"
    assert "height" not in root.attrib
    assert "max-width:480px" in root.attrib["style"]
    assert root.attrib["viewBox"] == "0 0 360 144"


def test_no_rule_of_the_picture_reaches_the_page_around_it() -> None:
    root = check_svg(svg(small()))
    (rule,) = [element.text for element in root.iter(f"{SVG}style")]
    assert rule.startswith(f"#{root.attrib['id']} *")


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80), st.floats(0.3, 4.0))
def test_fitted_text_fits_and_is_the_whole_where_that_fits(text: str, inches: float) -> None:
    shown = fitted(text, inches)
    assert text_width(shown) <= inches or len(shown) <= 2
    assert shown == printable(text) or shown.endswith("…")
    if text_width(printable(text)) <= inches:
        assert shown == printable(text)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30))
def test_any_text_makes_markup_that_can_be_read(text: str) -> None:
    figure = draw_on(1.0, text)
    write(bare_axes(figure), 0.2, 0.5, text)
    check_svg(svg(figure))


def test_a_measured_width_is_about_what_matplotlib_draws() -> None:
    figure = draw_on(1.0, "x")
    text = write(bare_axes(figure), 0.1, 0.5, "Best trial, on its own data")
    drawn = text.get_window_extent(figure.canvas.get_renderer()).width / figure.dpi
    assert text_width("Best trial, on its own data") == pytest.approx(drawn, rel=0.05)


def test_a_legend_shows_names_as_they_are() -> None:
    assert "_hidden $x$" in texts(small())


def test_examples() -> None:
    assert doctest.testmod(style).failed == 0
