from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from PIL import Image, ImageColor, ImageDraw

from search.contact_sheet import HEAD, MARGIN, PITCH, RIGHT, WRONG, heldout_sheet, patch_box, shown_rows
from search.figures import save_figure

EDGE = 5


def test_a_caption_wider_than_its_cell_is_cut_and_says_so(texts: list[str]) -> None:
    captions = ["B001 of P01", "sub-0123456789abcdef_ses-preop of sub-0123456789abcdef"]
    heldout_sheet(np.zeros((2, EDGE, EDGE)), np.array([0, 1]), np.array([0.2, 0.7]), captions, "T1", "t")
    assert "B001 of P01" in texts
    (cut,) = [line for line in texts if line.endswith("…")]
    assert captions[1].startswith(cut[:-1])
    assert len(cut) > 10


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line that is written, in order."""
    written: list[str] = []
    original = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, place: Any, line: str, *args: Any, **more: Any) -> None:
        written.append(line)
        original(self, place, line, *args, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return written


def heldout(n: int, **options: Any) -> Image.Image:
    patches = np.random.default_rng(1).normal(size=(n, EDGE, EDGE))
    label, probability = np.arange(n) % 2, np.linspace(0.01, 0.99, n)
    captions = [f"#{row}" for row in range(n)]
    return heldout_sheet(patches, label, probability, captions, "T1Gd", "Trial 3", **options)


def sheet_of(patches: np.ndarray, sequence: str = "T1") -> Image.Image:
    n = len(patches)
    captions = [f"#{row}" for row in range(n)]
    return heldout_sheet(patches, np.ones(n, int), np.full(n, 0.9), captions, sequence, "Trial 3")


def cell(sheet: Image.Image, place: int) -> np.ndarray:
    """The pixels of one of the first six patches, its frame among them."""
    left, top, right, bottom = patch_box((MARGIN + place * PITCH[0], HEAD))
    return np.asarray(sheet.crop((left, top, right + 1, bottom + 1)))


def levels(sheet: Image.Image, place: int, edge: int) -> list[list[int]]:
    """The grey level in the middle of each pixel of a patch, from top to bottom and left to right."""
    pixels = cell(sheet, place)
    middle = ((np.arange(edge) + 0.5) * len(pixels) / edge).astype(int)
    return pixels[np.ix_(middle, middle)][..., 0].tolist()


def share_of_frame(sheet: Image.Image, place: int, colour: str) -> float:
    pixels = cell(sheet, place)
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return float((rim == ImageColor.getrgb(colour)).all(axis=1).mean())


def test_a_frame_is_blue_where_the_prediction_is_right_and_broken_vermilion_where_wrong() -> None:
    sheet = heldout(6)
    wrong = [(0.01 + 0.98 * k / 5 > 0.5) != bool(k % 2) for k in range(6)]
    assert [share_of_frame(sheet, k, RIGHT) == 1 for k in range(6)] == [not bad for bad in wrong]
    assert [0.5 < share_of_frame(sheet, k, WRONG) < 0.9 for k in range(6)] == wrong


def test_the_folds_own_thresholds_decide_what_is_right_where_given(texts: list[str]) -> None:
    sheet = heldout(6, predicted=np.arange(6) % 2)
    assert all(share_of_frame(sheet, k, RIGHT) == 1 for k in range(6))
    assert "right at its fold's threshold" in texts[2]


def test_each_biopsy_shows_its_caption_true_label_and_probability(texts: list[str]) -> None:
    heldout(3)
    assert texts[3:] == ["#0", "true 0  p 0.010", "#1", "true 1  p 0.500", "#2", "true 0  p 0.990"]


def test_a_patch_is_drawn_with_left_on_the_left_and_front_on_top() -> None:
    patches = np.zeros((1, 3, 3))
    patches[0, 0, 2] = 1.0
    assert levels(sheet_of(patches), 0, 3) == [[255, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_an_absent_sequence_says_so_and_leaves_the_grey_window_alone(texts: list[str]) -> None:
    there = np.arange(9.0).reshape(3, 3) + 100
    sheet = sheet_of(np.stack([np.full((3, 3), np.nan), there]))
    expected = np.clip((there.T[::-1] - 100.08) / 7.84, 0, 1) * 255
    assert texts.count("absent") == 1
    assert np.allclose(levels(sheet, 1, 3), expected, atol=1)


def test_a_patch_of_one_intensity_is_drawn_and_not_called_absent(texts: list[str]) -> None:
    sheet = sheet_of(np.full((1, 3, 3), 7.0), "mask")
    assert "absent" not in texts
    assert levels(sheet, 0, 3) == [[128] * 3] * 3


def test_many_biopsies_are_thinned_and_the_title_counts_them(texts: list[str]) -> None:
    heldout(165)
    assert sum(line.startswith("#") for line in texts) == 60
    assert texts[1].startswith("T1Gd; 60 of 165 held-out biopsies")
    assert "83 of 165 right" in texts[2]


def test_a_long_title_is_made_smaller_until_it_fits() -> None:
    pixels = np.asarray(sheet_of(np.zeros((1, 3, 3)), "a sequence of a very long name " * 5))
    assert (pixels[:HEAD, : MARGIN - 2] == 255).all()
    assert (pixels[:HEAD, -MARGIN + 2 :] == 255).all()


def test_no_biopsy_at_all_still_gives_a_picture(tmp_path: Path) -> None:
    assert imread(save_figure(heldout(0), tmp_path / "empty.png")).shape[2] == 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=80), st.integers(2, 60))
def test_shown_rows_hold_the_lowest_and_the_highest_probability(values: list[float], limit: int) -> None:
    probability = np.array(values, dtype=np.float64)
    rows = shown_rows(probability, limit)
    assert len(set(rows.tolist())) == min(limit, len(values))
    assert (np.diff(rows) > 0).all()
    if values:
        assert {probability[rows].min(), probability[rows].max()} == {min(values), max(values)}
