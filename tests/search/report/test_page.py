"""The page as text: it loads nothing, escapes everything, and says under which policy it runs."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import sync_playwright

from search.report.blocks import Command, Link, Live, Picture, Section, Table, Text
from search.report.page import policy, render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NASTY = '<script>alert("x")</script>&'
SECTIONS = [
    Section.of("summary", "In words", Text(NASTY, "lead")),
    Section.of(
        "b",
        f"Title {NASTY}",
        Table("t", NASTY, ("name", NASTY), ((NASTY, 0.5), ("two", None)), note=NASTY),
        Table("l", "links", ("name", "where"), (("one", (Link("summary", NASTY),)),)),
        Picture("p", Figure(), NASTY),
        Picture("q", Figure(), "beside it"),
        Command(NASTY, NASTY),
    ),
    Section.of("empty", "Left out"),
]


class Outline(HTMLParser):
    """The tags of a page, its ids, its links and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag not in ("meta", "img", "link", "path", "use", "br", "rect"):
            self.open.append(tag)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if tag == "a" else []
        self.sources += [value or "" for name, value in attrs if name in ("src", "srcset", "data")]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open[-1] == tag
            self.open.pop()


@pytest.fixture(scope="module")
def page() -> str:
    return render(f"Study {NASTY}", "No signal", "now", SECTIONS)


def test_the_page_is_well_formed_and_names_are_unique(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.tags.count("h1") == 1
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)


def test_whatever_a_study_is_called_stays_text(page: str) -> None:
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") >= 9


def test_nothing_is_loaded(page: str) -> None:
    assert all(source.startswith("data:") for source in Outline(page).sources)
    assert not re.search(r"@import|url\((?!#|\"?data:)", page)
    assert "default-src 'none'" in page
    assert "script-src 'none'" in page
    assert "connect-src 'none'" in page


def test_empty_sections_are_left_out(page: str) -> None:
    assert "Left out" not in page


def test_tables_have_captions_and_scopes(page: str) -> None:
    assert page.count("<caption") == 2
    assert page.count('<th scope="col"') == 4
    assert page.count('<th scope="row"') == 3


def test_pictures_side_by_side_are_one_group(page: str) -> None:
    assert page.count('class="beside"') == 1


def test_each_script_of_the_page_is_allowed_by_its_hash_alone() -> None:
    live = Live("plot", '<div id="plot"></div><script>draw(1)</script>', "a plot")
    page = render("t", "h", "now", [Section.of("s", "S", live)])
    rule = re.search(r"script-src ([^;]*);", page)
    assert rule is not None
    digest = base64.b64encode(hashlib.sha256(b"draw(1)").digest()).decode()
    assert f"'sha256-{digest}'" in rule[1]
    assert "unsafe" not in rule[1]
    assert rule[1].count("sha256-") == 2  # the library's and the plot's


def test_a_page_without_scripts_allows_none() -> None:
    assert "script-src 'none'" in policy("<p>no script</p>")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH")
@pytest.mark.parametrize(("natural", "least"), [(1016, 760), (300, 300)])
def test_a_picture_of_pixels_stays_readable_on_a_phone_and_scrolls_in_its_box(
    tmp_path: Path, natural: int, least: int
) -> None:
    words = "Every held-out biopsy from easy to hard, with the probability of its class. " * 2
    grid = Picture("grid", Image.new("L", (natural, 200)), words, "patches")
    page = tmp_path / "page.html"
    page.write_text(render("t", "h", "now", [Section.of("cases", "Cases", grid)]), encoding="utf-8")
    measured = """() => {
        const box = document.querySelector(".drawing"), width = e => e.getBoundingClientRect().width;
        return [width(box.firstElementChild), box.clientWidth, box.scrollWidth,
                width(document.querySelector("figcaption")), document.documentElement.scrollWidth];
    }"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 380, "height": 800})
        tab.goto(page.as_uri())
        picture, box, inside, caption, whole = tab.evaluate(measured)
        tab.emulate_media(media="print")
        printed = tab.evaluate(measured)[0]
        browser.close()
    assert picture == least
    assert inside == max(box, least)  # what is wider than the page scrolls there
    assert whole == 380
    assert caption <= 380
    assert printed <= 380
