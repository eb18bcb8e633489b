"""The report in a real browser, as somebody opens it who got it by mail: from a file, without a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from search.cli import main
from search.home import Home
from search.placement import Placement
from search.progress import Listener
from search.study_file import read_study
from search.supervisor import RunOptions, run_study
from tests.chromium import ARGUMENTS, CHROMIUM, NEEDS_CHROMIUM

pytestmark = NEEDS_CHROMIUM
PLOTS = ("history", "parallel", "slices")
STUDY = """
name = "shown"
cohort = "cohort"
[validation]
folds = 3
[search]
trials = 8
sampler = "random"
pruner = "none"
[space]
architecture = ["constant", "roi_means", "missingness"]
patch_radius = { low = 2, high = 6 }
"""


@pytest.fixture(scope="module")
def report(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small study of shallow models."""
    folder = tmp_path_factory.mktemp("report")
    make_cohort(folder / "cohort")
    (folder / "study.toml").write_text(STUDY)
    home = Home.at(folder / "home")
    run_study(
        read_study(folder / "study.toml"), home, RunOptions(placements=(Placement(1, None),)), Listener()
    )
    assert main(["report", "shown", "--home", str(home.root), "--out", str(folder / "out")]) == 0
    moved = tmp_path_factory.mktemp("mail") / "report.html"  # alone: what lies beside it must not be needed
    shutil.copyfile(folder / "out" / "report.html", moved)
    return moved


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Opened:
    """The page in a window of some width, and all that it said and asked for."""

    def __init__(self, browser: Browser, path: Path, width: int, scheme: str = "light") -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        self.page: Page = self._context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        for name in PLOTS:
            expect(self.page.locator(f"#{name} .main-svg").first).to_be_visible(timeout=60_000)

    def close(self) -> None:
        self._context.close()


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the page where RADSEARCH_SHOTS names a folder."""
    if "RADSEARCH_SHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["RADSEARCH_SHOTS"]) / f"report_{name}.png", full_page=True)


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (380, "light")], ids=["wide", "dark", "narrow"])
def opened(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Opened]:
    window = Opened(browser, report, *request.param)
    shoot(window.page, request.node.callspec.id)
    yield window
    window.close()


def test_the_page_opens_without_a_network_and_without_complaint(opened: Opened, report: Path) -> None:
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
    words = opened.page.locator("#summary p.lead")
    expect(words).to_contain_text("8 trials tried to predict CD3D")
    expect(words).to_contain_text("95 % interval")
    expect(opened.page.get_by_text("Research use only").first).to_be_visible()


def test_nothing_sticks_out_of_the_window(opened: Opened) -> None:
    wide = opened.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0


def test_every_figure_is_drawn(opened: Opened) -> None:
    sizes = opened.page.evaluate(
        "[...document.querySelectorAll('.drawing > *')].map(one => [one.clientWidth, one.clientHeight])"
    )
    assert len(sizes) >= 8
    assert all(width > 200 and height > 100 for width, height in sizes)
    images = opened.page.evaluate("[...document.images].map(one => one.naturalWidth)")
    assert images
    assert min(images) > 200


def test_a_point_of_the_history_answers_the_mouse(browser: Browser, report: Path) -> None:
    window = Opened(browser, report, 1280)
    point = window.page.locator("#history .scatterlayer .point").nth(1)
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    expect(window.page.locator("#history .hoverlayer")).to_contain_text("trial 1")
    assert window.said == []
    window.close()


def test_the_policy_forbids_what_did_not_come_with_the_page(browser: Browser, report: Path) -> None:
    window = Opened(browser, report, 1280)
    ran = window.page.evaluate(
        """async () => {
            const script = document.createElement("script");
            script.textContent = "window.foreign = true";
            document.body.append(script);
            const fetched = await fetch("https://example.org").then(() => true, () => false);
            return [window.foreign === true, fetched];
        }"""
    )
    assert ran == [False, False]
    assert any("Content Security Policy" in line for line in window.said)
    window.close()


def test_it_prints_without_what_needs_a_mouse(browser: Browser, report: Path, tmp_path: Path) -> None:
    window = Opened(browser, report, 1280)
    window.page.emulate_media(media="print")
    for name in PLOTS:
        expect(window.page.locator(f"#{name}")).to_be_hidden()
    expect(window.page.get_by_text("interactive and not printed")).to_be_visible()
    window.page.pdf(path=tmp_path / "report.pdf", format="A4")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") >= 4
    window.close()


def test_headings_are_in_order_and_everything_has_a_name(browser: Browser, report: Path) -> None:
    window = Opened(browser, report, 1280)
    levels = window.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    unnamed = window.page.evaluate(
        """document.querySelectorAll(`img:not([alt]), img[alt=""], table:not(:has(caption)),
        .drawing > svg:not(:has(> title)), th:not([scope])`).length"""
    )
    assert unnamed == 0
    window.close()
