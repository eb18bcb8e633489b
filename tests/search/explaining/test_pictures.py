"""The two figures: every sequence in them, blocks where they belong, one scale around 0."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from PIL import Image

from search.explaining.explanations import RECORD, read_explanations
from search.explaining.permutation import Permutation
from search.explaining.pictures import (
    OCCLUSION,
    PERMUTATION,
    occlusion_figure,
    permutation_figure,
    write_explanations,
)
from tests.search.deployment.facts_by_hand import SEQUENCES, make_explanations


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [
        text.get_text() for text in figure.texts
    ]


def meshes(figure: Figure) -> list[QuadMesh]:
    return [part for axes in figure.axes for part in axes.collections if isinstance(part, QuadMesh)]


@pytest.mark.parametrize("labels", [1, 2])
def test_all_sequences_and_all_at_once_have_a_panel_for_each_label(labels: int) -> None:
    found = make_explanations(labels)
    figure = occlusion_figure(found)
    panels = [mesh for mesh in meshes(figure) if mesh.get_array().size == 25]
    assert len(panels) == labels * (1 + len(SEQUENCES))
    assert all(any(text.startswith(name) for text in texts(figure)) for name in (*SEQUENCES, "all at once"))
    scales = {(panel.norm.vmin, panel.norm.vmax) for panel in panels}
    assert len(scales) == 1
    ((low, high),) = scales
    assert low == -high


def test_the_first_axis_of_a_patch_runs_to_the_right_the_second_upwards() -> None:
    found = make_explanations()
    cells = np.zeros_like(found.occlusion.cells)
    cells[:, 0, 0, 4, 1] = 2.0  # rightmost column, second row from below
    blocks = np.zeros_like(found.occlusion.blocks)
    figure = occlusion_figure(replace(found, occlusion=replace(found.occlusion, cells=cells, blocks=blocks)))
    mesh = next(mesh for mesh in meshes(figure) if mesh.get_array().max() == 2.0)
    drawn = np.asarray(mesh.get_array()).reshape(5, 5)
    assert np.argwhere(drawn == 2.0).tolist() == [[1, 4]]
    corner = mesh.get_coordinates()[1, 4]
    np.testing.assert_allclose(corner, [2.25, -2.25])


def test_where_blocks_of_sequences_were_not_asked_bars_take_their_place() -> None:
    figure = occlusion_figure(make_explanations(each=False))
    assert len([mesh for mesh in meshes(figure) if mesh.get_array().size == 25]) == 1
    widths = [patch.get_width() for axes in figure.axes for patch in axes.patches]
    np.testing.assert_allclose(widths[:4], make_explanations().whole(0).mean, rtol=1e-6)


def test_bars_of_the_losses_are_the_losses_the_largest_on_top() -> None:
    figure = permutation_figure(make_explanations())
    (axes,) = figure.axes
    assert [round(patch.get_width(), 3) for patch in axes.patches] == [0.12, 0.08, 0.06, 0.0]
    assert [text.get_text() for text in axes.texts][:4] == list(SEQUENCES)
    assert "CD3D, AUC 0.71" in texts(figure)
    assert "+0.120  p 0.01" in texts(figure)


def test_without_an_auc_there_are_no_bars() -> None:
    found = make_explanations()
    figure = permutation_figure(replace(found, permutation=(Permutation(None, ()),)))
    assert not figure.axes[0].patches
    assert "CD3D, AUC undefined" in texts(figure)


def test_odd_names_are_drawn_as_they_are() -> None:
    names = ("$\\frac{x", "a" * 200, "T1\x00", "T2")
    found = replace(make_explanations(), sequences=names)
    for figure in (occlusion_figure(found), permutation_figure(found)):
        figure.canvas.draw()
        assert any("$\\frac{x" in text for text in texts(figure))


def test_everything_is_written_and_read_back(tmp_path: Path) -> None:
    written = write_explanations(tmp_path, make_explanations())
    assert {path.name for path in written} == {RECORD, OCCLUSION, PERMUTATION, "occlusion.npz"}
    assert read_explanations(tmp_path) is not None
    for name in (OCCLUSION, PERMUTATION):
        with Image.open(tmp_path / "explanations" / name) as picture:
            assert min(picture.size) > 200
