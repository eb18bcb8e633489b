from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from data_prep.check.findings import Finding
from data_prep.check.subject import Subject
from search.gallery import write_gallery, writing
from search.gallery.writing import divided
from tests.chromium import ARGUMENTS, CHROMIUM

Look = Callable[[], Subject]

TOLD = (Finding("warning", "clipped", "sub-001/T1.nii.gz", "a law, but a value.", "Mend it.", "sub-001"),)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_page_with_everything_in_it(looked_at: Look, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    subject = looked_at()
    path = write_gallery(subject, TOLD, tmp_path / "out", lambda done, total: seen.append((done, total)))
    page = path.read_text()
    assert path == tmp_path / "out" / "gallery.html"
    assert names(path.parent) == {"gallery.html"}
    assert seen[-1] == (4, 4)
    for biopsy in subject.cohort.biopsies:
        assert page.count(f"through {biopsy.biopsy_id},") == 2
    assert not re.search(r'(src|href)="(?!data:|#)', page), "nothing lies beside it"


def test_a_large_cohort_has_several_pages_and_a_smaller_one_takes_the_rest_away(
    looked_at: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = looked_at()
    out = tmp_path / "out"
    out.mkdir()
    (out / "gallery-notes.html").write_text("mine")
    monkeypatch.setattr(writing, "divided", lambda cards: divided(cards, most=8))
    write_gallery(subject, (), out)
    kept = {"gallery.html", *(f"gallery-{n}.html" for n in (2, 3, 4)), "gallery-notes.html"}
    assert names(out) == kept
    monkeypatch.undo()
    write_gallery(subject, (), out)
    assert names(out) == {"gallery.html", "gallery-notes.html"}


def test_a_page_holds_as_many_cards_as_fit_and_at_least_one() -> None:
    class Held:
        def __init__(self, pictures: int) -> None:
            self.pictures = pictures

    cards = [Held(n) for n in (5, 5, 1, 30, 2)]
    held = [[card.pictures for card in part] for part in divided(cards, most=10)]  # type: ignore[arg-type]
    assert held == [[5, 5], [1], [30], [2]]
    assert divided([], most=10) == [()]


def test_a_refused_write_leaves_the_earlier_page(
    looked_at: Look, tmp_path: Path, files_end_at: Callable[[int | None], None]
) -> None:
    subject = looked_at()
    path = write_gallery(subject, (), tmp_path / "out")
    before = path.read_bytes()
    files_end_at(5000)
    with pytest.raises(OSError, match=r"gallery\.html|File too large"):
        write_gallery(subject, TOLD, tmp_path / "out")
    files_end_at(None)
    assert path.read_bytes() == before
    assert names(tmp_path / "out") == {"gallery.html"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on PATH")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (380, "dark")])
def test_a_browser_shows_it_without_a_network(
    looked_at: Look, cohort_folder: Path, tmp_path: Path, browser: Browser, width: int, scheme: str
) -> None:
    (cohort_folder / "sub-000" / "T1.nii.gz").write_bytes(b"")
    path = write_gallery(looked_at(), TOLD, tmp_path)
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        offline=True,
    )
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    assert page.locator("img:not([alt])").count() == 0
    patch = page.locator("img").first
    patch.scroll_into_view_if_needed()
    assert patch.evaluate("image => image.naturalWidth") == 17
    page.get_by_role("link", name="sub-001").first.click()
    assert page.url.endswith("#p2")
    assert page.get_by_text("it is empty").first.is_visible()
    context.close()
