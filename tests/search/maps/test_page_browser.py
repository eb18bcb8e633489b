"""The page of a map in a real browser that has no network."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from search.maps.page import render
from search.maps.scene import Marks, Scene
from tests.chromium import ARGUMENTS, CHROMIUM, NEEDS_CHROMIUM

pytestmark = NEEDS_CHROMIUM
PATIENCE = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Opened:
    """The page of a scene, alone in a folder, and all that it said and asked for."""

    def __init__(self, browser: Browser, scene: Scene, folder: Path, width: int = 1280) -> None:
        path = folder / "map.html"
        path.write_text(render(scene, [("Model", "toy")], ["A note."]), encoding="utf-8")
        self.scene, self.address = scene, path.as_uri()
        self._context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(self.address)
        self.page.wait_for_selector("body[data-ready]")

    def told(self) -> dict[str, str]:
        """What stands below the viewer."""
        terms = self.page.locator("#readout dt").all_inner_texts()
        return dict(zip(terms, self.page.locator("#readout dd").all_inner_texts(), strict=True))

    def voxel(self) -> tuple[int, int, int]:
        """The canonical voxel of the place that is told."""
        x, y, z = (float(value) for value in re.findall(r"-?\d+\.\d", self.told()["Place"]))
        place = np.linalg.inv(self.scene.grid.canonical_affine) @ [x, y, z, 1]
        # Flat voxels are two cubes, whose middles lie a quarter of a voxel from the voxel's.
        found = np.floor(place[:3] + 0.5).astype(int)
        return (int(found[0]), int(found[1]), int(found[2]))

    def probability(self) -> float | None:
        """The first label's, as told."""
        found = re.match(r"[01]\.\d\d", self.told()["Probability of CD3D"])
        return None if found is None else float(found[0])

    def drawn(self) -> str:
        """What the canvas shows."""
        return str(self.page.evaluate("document.getElementById('canvas').toDataURL()"))

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def opened(browser: Browser, make_scene: Callable[..., Scene], tmp_path: Path) -> Iterator[Opened]:
    window = Opened(browser, make_scene(), tmp_path)
    if "RADSEARCH_SHOTS" in os.environ:
        window.page.screenshot(path=Path(os.environ["RADSEARCH_SHOTS"]) / "map.png", full_page=True)
    yield window
    window.close()


def test_it_opens_without_a_network_without_complaint_and_draws(opened: Opened) -> None:
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith("data:")] == [opened.address]
    colours = opened.page.evaluate(
        """() => {
            const canvas = document.getElementById("canvas");
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const found = new Set();
            for (let n = 0; n < data.length; n += 4) found.add(data.slice(n, n + 3).join());
            return found.size;
        }"""
    )
    assert colours > 100


def test_it_tells_the_probability_of_the_map_at_the_peak(opened: Opened) -> None:
    scene = opened.scene
    at = tuple(scene.peak(0))
    assert opened.voxel() == at
    assert opened.probability() == pytest.approx(float(scene.drawn.probability[(*at, 0)]), abs=0.011)
    assert opened.told()["Unlike the training data"] == "no"


def test_clicks_and_drags_move_the_cut_and_the_value_is_that_of_the_place(opened: Opened) -> None:
    box = opened.page.locator("#canvas").bounding_box()
    assert box is not None
    before, seen = opened.drawn(), set()
    for across in (0.82, 0.84, 0.86, 0.88):
        opened.page.mouse.click(box["x"] + across * box["width"], box["y"] + 0.5 * box["height"])
        voxel = opened.voxel()
        expected = float(opened.scene.drawn.probability[(*voxel, 0)])
        found = opened.probability()
        assert (found is None) == bool(np.isnan(expected))
        if found is not None:
            assert found == pytest.approx(expected, abs=0.011)
            seen.add(found)
    assert len(seen) > 1
    assert opened.drawn() != before


@pytest.mark.parametrize(("across", "axis"), [(0.1, 0), (0.5, 1), (0.85, 2)])
def test_the_wheel_goes_through_the_slices_of_the_plane_below_it(
    opened: Opened, across: float, axis: int
) -> None:
    box = opened.page.locator("#canvas").bounding_box()
    assert box is not None
    opened.page.mouse.move(box["x"] + across * box["width"], box["y"] + 0.4 * box["height"])
    start, picture = np.array(opened.voxel()), opened.drawn()
    for _ in range(4):
        opened.page.mouse.wheel(0, 100)
    opened.page.wait_for_function(
        "picture => document.getElementById('canvas').toDataURL() !== picture", arg=picture
    )
    opened.page.wait_for_timeout(200)
    moved = np.array(opened.voxel()) - start
    assert moved[axis] < 0
    assert np.count_nonzero(moved) == 1
    assert opened.page.evaluate("window.scrollY") == 0


def test_keys_move_the_cut(opened: Opened) -> None:
    start = np.array(opened.voxel())
    opened.page.locator("#canvas").focus()
    for key in ("ArrowRight", "ArrowUp", "PageUp", "PageUp"):
        opened.page.keyboard.press(key)
    assert (np.array(opened.voxel()) - start).tolist() == [1, 1, 1]  # two cubes are a voxel of 2 mm


def test_a_biopsy_is_found_by_its_name(opened: Opened) -> None:
    opened.page.get_by_role("button", name="b1").click()
    assert opened.voxel() == (11, 10, 6)
    expect(opened.page.get_by_role("button", name="<b>x</b>")).to_be_visible()
    expect(opened.page.get_by_role("button", name="b1")).to_contain_text("CD3D above the cut")


def test_every_layer_can_be_shown(opened: Opened) -> None:
    names = opened.page.locator("#layer option").all_inner_texts()
    assert names == [
        "Probability of CD3D",
        "Probability of CD8A",
        "Pheno-regions",
        "Uncertainty of CD3D",
        "Uncertainty of CD8A",
        "Unlike the training data",
    ]
    pictures = []
    for number in range(len(names)):
        opened.page.select_option("#layer", str(number))
        pictures.append(opened.drawn())
    assert len(set(pictures)) == len(pictures)
    opened.page.select_option("#layer", "2")
    expect(opened.page.locator("#key")).to_contain_text("CD3DCD8A")
    opened.page.locator("#opacity").fill("0")
    bare = opened.drawn()
    opened.page.select_option("#layer", "5")
    assert opened.said == []
    assert bare != pictures[2]


def test_it_fits_a_narrow_window(browser: Browser, make_scene: Callable[..., Scene], tmp_path: Path) -> None:
    window = Opened(browser, make_scene(name="participant-" + "x" * 60), tmp_path, width=380)
    assert window.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    window.close()


def test_nothing_else_may_run_or_be_fetched(opened: Opened) -> None:
    ran = opened.page.evaluate(
        """async () => {
            const script = document.createElement("script");
            script.textContent = "window.foreign = true";
            document.body.append(script);
            const fetched = await fetch("https://example.org").then(() => true, () => false);
            return [window.foreign === true, fetched];
        }"""
    )
    assert ran == [False, False]
    assert any("Content Security Policy" in line for line in opened.said)


ORANGE = [255, 90, 54]


def pixels(opened: Opened, colour: list[int]) -> int:
    """How many of the canvas have a colour, each channel to within 12."""
    return int(
        opened.page.evaluate(
            """(colour) => {
                const canvas = document.getElementById("canvas");
                const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                let found = 0;
                for (let n = 0; n < data.length; n += 4)
                    if (colour.every((part, k) => Math.abs(part - data[n + k]) <= 12)) found += 1;
                return found;
            }""",
            colour,
        )
    )


def test_the_threshold_is_on_the_slices_and_on_the_scale_beside_them(opened: Opened) -> None:
    assert pixels(opened, ORANGE) > 20
    expect(opened.page.locator("#key")).to_contain_text("threshold 0.40")
    tick = opened.page.locator("#key .tick").bounding_box()
    scale = opened.page.locator("#key img").bounding_box()
    assert tick is not None
    assert scale is not None
    assert (tick["x"] + 1.5 - scale["x"]) / scale["width"] == pytest.approx(0.4, abs=0.01)
    opened.page.select_option("#layer", "3")
    assert pixels(opened, ORANGE) == 0


def test_biopsies_are_ringed_on_their_slices_alone(
    browser: Browser, make_scene: Callable[..., Scene], tmp_path: Path
) -> None:
    pictures = []
    for count in (0, 1):
        marks = Marks(("b1",) * count, make_scene().peak(0)[None][:count].astype(float), {})
        window = Opened(browser, make_scene(marks=marks), tmp_path)
        window.page.locator("#canvas").focus()
        seen = [window.drawn()]
        for key in ("ArrowRight", "ArrowUp", "PageUp", "PageUp"):
            window.page.keyboard.press(key)
        pictures.append((*seen, window.drawn()))
        window.close()
    (bare, bare_elsewhere), (ringed, elsewhere) = pictures
    assert ringed != bare
    assert elsewhere == bare_elsewhere
