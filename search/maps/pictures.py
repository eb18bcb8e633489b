"""Pictures of a map on the participant's image, drawn by nilearn.

They show the voxels as they are: the grid is drawn along its own canonical axes, so that no tilt of the scan
has a map resampled. The participant's left is on the left.

References:
    Okabe M, Ito K (2008), "Color Universal Design": the colours of marks and of pheno-regions. "viridis" is
    perceptually uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from nibabel import Nifti1Image
from nilearn import plotting

from data_prep.arrays import DoubleArray, IntArray
from search.figures import blank_figure
from search.maps.combined import pheno_regions
from search.maps.scene import ABOVE, BELOW, Scene, box_of, cropped

COLOURS: Final = "viridis"
STATES: Final = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Of pheno-regions, in the order of the labels; more labels begin anew."""

CONTOUR: Final = "#ff5a36"
"""Of the threshold."""

_UNLIKE, _PLAIN = "#d9d9d9", "#FFFFFF"
_FAINTEST = 1e-6  # a probability that is still shown; nothing is shown where there is no map
_KINDS = {
    ABOVE: ("^", "#D55E00", "biopsy above cut"),
    BELOW: ("v", "#FFFFFF", "biopsy below cut"),
    None: ("o", "#56B4E9", "biopsy, unknown"),
}
_ROW, _ROWS = 6, 4  # panels of a mosaic
_ROOM_MM = 20.0  # around the region in a mosaic
_TEXT = 11

Box = tuple[slice, slice, slice]


class Panel(NamedTuple):
    """One slice on a figure.

    Attributes:
        axes: Where it is drawn.
        axis: Across which it lies.
        level: The canonical voxels that it shows.
    """

    axes: Axes
    axis: int
    level: int


def planes_picture(scene: Scene, label: int) -> Figure:
    """Three planes through the highest probability of a label."""
    figure = _figure(10.5, 4.9, f"{scene.name}: probability of {scene.drawn.labels[label]}", scene.said)
    at, box = scene.peak(label), scene.head
    display = _behind(scene, box, figure, (0.0, 0.12, 0.9, 0.74), "ortho", _mm(scene, at, box))
    _paint(display, scene, label, box)
    panels = _panels([display], scene, box)
    _slices(panels, scene)
    _scale(figure, (0.925, 0.25, 0.018, 0.5), scene.drawn.thresholds[label])
    _legend(figure, scene, label, panels, _mark(panels, scene, label, box))
    return figure


def mosaic_picture(scene: Scene, label: int) -> Figure:
    """Axial slices through the region, those of the biopsies among them."""
    box, levels = _around(scene), _levels(scene)
    title = f"{scene.name}: probability of {scene.drawn.labels[label]}, axial slices"
    figure, rows = _mosaic(scene, box, levels, title)
    for display in rows:
        _paint(display, scene, label, box)
    panels = _panels(rows, scene, box)
    _slices(panels, scene)
    _scale(figure, (0.93, 0.3, 0.016, 0.45), scene.drawn.thresholds[label])
    _legend(figure, scene, label, panels, _mark(panels, scene, label, box))
    return figure


def regions_picture(scene: Scene) -> Figure:
    """Axial slices with the label that dominates each voxel."""
    box, levels = _around(scene), _levels(scene)
    figure, rows = _mosaic(scene, box, levels, f"{scene.name}: pheno-regions, axial slices")
    count = len(scene.drawn.labels)
    colours = [STATES[number % len(STATES)] for number in range(count)]
    dominates = _image(pheno_regions(scene.drawn), scene, box)
    for display in rows:
        display.add_overlay(
            dominates,
            cmap=ListedColormap(colours),
            vmin=0.5,
            vmax=count + 0.5,
            threshold=0.5,
            transparency=0.75,
        )
        _hatch(display, scene, box)
    panels = _panels(rows, scene, box)
    _slices(panels, scene)
    handles = [Patch(color=colours[n], label=name) for n, name in enumerate(scene.drawn.labels)]
    _legend(figure, scene, None, panels, _mark(panels, scene, None, box), handles)
    return figure


def _figure(width: float, height: float, title: str, said: str) -> Figure:
    figure = blank_figure(width, height)
    figure.set_facecolor("black")
    left, top = 0.15 / width, 1 - 0.12 / height
    figure.text(left, top, title, color="white", fontsize=_TEXT + 3, va="top", parse_math=False)
    figure.text(
        left, top - 0.3 / height, said, color="#c8c8c8", fontsize=_TEXT - 1.5, va="top", parse_math=False
    )
    return figure


def _image(volume: npt.NDArray[Any], scene: Scene, box: Box) -> Nifti1Image:
    """A part of a canonical volume on axes of its own: millimetres from the corner of the box."""
    affine = np.diag([*scene.grid.voxel_size, 1.0])
    part = cropped(volume, box)
    return Nifti1Image(part.astype(np.float32), affine)  # type: ignore[no-untyped-call]


def _mm(scene: Scene, voxels: IntArray | DoubleArray, box: Box) -> DoubleArray:
    """Where canonical voxels lie on those axes."""
    start = np.array([part.start for part in box])
    return np.asarray((voxels - start) * scene.grid.voxel_size, dtype=np.float64)


def _behind(
    scene: Scene,
    box: Box,
    figure: Figure,
    place: tuple[float, ...],
    mode: str,
    cuts: Sequence[float] | DoubleArray,
) -> Any:
    """The image in grey; returns nilearn's display of it."""
    low, high = scene.window
    return plotting.plot_img(
        _image(scene.grey, scene, box),
        cut_coords=[float(cut) for cut in cuts],
        display_mode=mode,
        figure=figure,
        axes=place,
        black_bg=True,
        cmap="gray",
        vmin=low,
        vmax=high,
        colorbar=False,
        draw_cross=False,
        annotate=False,
        interpolation="nearest",
    )


def _paint(display: Any, scene: Scene, label: int, box: Box) -> None:
    """The map over the image: colours, the contour of the threshold, what is unlike."""
    drawn = scene.drawn
    shown = np.where(drawn.region, np.clip(drawn.probability[..., label], 2 * _FAINTEST, 1), 0)
    display.add_overlay(
        _image(np.nan_to_num(shown), scene, box),
        cmap=COLOURS,
        vmin=0.0,
        vmax=1.0,
        threshold=_FAINTEST,
        transparency=0.85,
    )
    if drawn.above[..., label].any():
        above = _image(drawn.above[..., label], scene, box)
        display.add_contours(above, levels=[0.5], colors=[CONTOUR], linewidths=1.3)
    _hatch(display, scene, box)


def _hatch(display: Any, scene: Scene, box: Box) -> None:
    if scene.drawn.unlike.any():
        unlike = _image(scene.drawn.unlike, scene, box)
        display.add_contours(unlike, levels=[0.5], colors=[_UNLIKE], linewidths=0.8, linestyles="dotted")
        display.add_overlay(
            unlike, cmap=ListedColormap([_UNLIKE]), vmin=0.0, vmax=1.0, threshold=0.5, transparency=0.45
        )


def _panels(displays: Sequence[Any], scene: Scene, box: Box) -> list[Panel]:
    found = []
    for display in displays:
        for panel in display.axes.values():
            axis = "xyz".index(panel.direction)
            level = round(panel.coord / scene.grid.voxel_size[axis]) + box[axis].start
            found.append(Panel(panel.ax, axis, level))
    return found


def _mark(panels: Sequence[Panel], scene: Scene, label: int | None, box: Box) -> list[int | None]:
    """Mark each biopsy on the slices whose voxels it lies in; returns which kinds of them there are.

    nilearn's own marks lie on every slice within 2 mm, which is several thin slices and part of a thick one.
    """
    kinds, places = _kinds(scene, label), _mm(scene, scene.marks.places, box)
    voxels = np.floor(scene.marks.places + 0.5).astype(int)
    shown = np.all(
        [(one.start <= at) & (at < one.stop) for one, at in zip(box, voxels.T, strict=True)], axis=0
    )
    drawn = set()
    for panel in panels:
        across = [axis for axis in range(3) if axis != panel.axis]
        for row in np.flatnonzero(shown & (voxels[:, panel.axis] == panel.level)).tolist():
            shape, colour, _ = _KINDS[kinds[row]]
            panel.axes.scatter(
                places[row, across[0]],
                places[row, across[1]],
                s=42,
                c=_PLAIN if label is None else colour,
                marker=shape,
                edgecolors="black",
                linewidths=0.9,
                zorder=1000,
            )
            drawn.add(kinds[row])
    return [kind for kind in _KINDS if kind in drawn]


def _kinds(scene: Scene, label: int | None) -> Sequence[int | None]:
    """What is known of each biopsy."""
    unknown = [None] * len(scene.marks.names)
    return unknown if label is None else scene.marks.known.get(scene.drawn.labels[label], unknown)


def _slices(panels: Sequence[Panel], scene: Scene) -> None:
    """Which slice each panel is, and where left is, in words that stay on the panel."""
    for axes, axis, level in panels:
        name, count = "xyz"[axis], scene.drawn.region.shape[axis]
        _write(axes, 0.5, 0.0, f"{name} {level + 1} of {count}", "center")
        for x, letter in zip((0.02, 0.98), "PA" if axis == 0 else "LR", strict=True):
            _write(axes, x, 0.5, letter, "left" if x < 0.5 else "right")


def _write(axes: Axes, x: float, y: float, text: str, align: str) -> None:
    axes.text(
        x,
        y,
        text,
        color="white",
        fontsize=_TEXT - 2,
        ha=align,
        va="bottom",
        transform=axes.transAxes,
        zorder=2000,
        bbox={"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1.0},
    )


def _scale(figure: Figure, place: tuple[float, float, float, float], threshold: float) -> None:
    """The colours from 0 to 1 with the threshold on them."""
    axes = figure.add_axes(place)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), COLOURS), cax=axes, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.ax.tick_params(colors="white", labelsize=_TEXT - 1)
    bar.ax.axhline(threshold, color=CONTOUR, linewidth=2.5)
    bar.outline.set_edgecolor("white")


def _legend(
    figure: Figure,
    scene: Scene,
    label: int | None,
    panels: Sequence[Panel],
    kinds: Sequence[int | None],
    handles: Sequence[Any] = (),
) -> None:
    """What is on the panels, and nothing else; the threshold is on the scale of colours as well."""
    shown: list[Any] = list(handles)
    if label is not None:
        text = f"threshold {scene.drawn.thresholds[label]:.2f}"
        shown.append(Line2D([], [], color=CONTOUR, linewidth=2, label=text))
    if any(scene.drawn.unlike.take(panel.level, axis=panel.axis).any() for panel in panels):
        shown.append(Patch(facecolor=_UNLIKE, alpha=0.55, label="unlike training data"))
    for kind in kinds:
        shape, colour, text = _KINDS[kind]
        if label is None:
            colour, text = _PLAIN, "biopsy"
        shown.append(
            Line2D(
                [],
                [],
                marker=shape,
                color="none",
                markerfacecolor=colour,
                markeredgecolor="black",
                markersize=8,
                label=text,
            )
        )
    legend = figure.legend(
        handles=shown,
        loc="lower left",
        ncols=len(shown),
        frameon=False,
        fontsize=_TEXT - 0.5,
        labelcolor="white",
        bbox_to_anchor=(0.0, 0.0),
        handletextpad=0.4,
        columnspacing=1.3,
    )
    for entry in legend.get_texts():
        entry.set_parse_math(False)


def _around(scene: Scene) -> Box:
    """The box of the region with some room, of what is in the image."""
    room = [int(np.ceil(_ROOM_MM / edge)) for edge in scene.grid.voxel_size]
    box = box_of(scene.drawn.region, room)
    parts = [
        slice(max(one.start, head.start), min(one.stop, head.stop))
        for one, head in zip(box, scene.head, strict=True)
    ]
    return (parts[0], parts[1], parts[2])


def _levels(scene: Scene) -> list[int]:
    """Axial slices: of the biopsies, and between the ends of the region as evenly as there is room for."""
    there = np.flatnonzero(scene.drawn.region.any(axis=(0, 1)))
    box = _around(scene)[2]
    sites = {int(z) for z in np.floor(scene.marks.places[:, 2] + 0.5) if box.start <= z < box.stop}
    room = max(2, _ROW * _ROWS - len(sites))
    even = np.unique(np.linspace(there[0], there[-1], min(room, len(there))).round().astype(int))
    return sorted(sites | {int(z) for z in even})


def _mosaic(scene: Scene, box: Box, levels: list[int], title: str) -> tuple[Figure, list[Any]]:
    """A figure with rows of axial slices; returns it and nilearn's display of each row."""
    size = [(part.stop - part.start) * edge for part, edge in zip(box, scene.grid.voxel_size, strict=True)]
    columns = min(_ROW, len(levels))
    count = -(-len(levels) // columns)
    width, top, bottom = 10.5, 0.75, 0.55
    tall = 0.9 * width / columns * size[1] / size[0]
    height = top + count * tall + bottom
    figure = _figure(width, height, title, scene.said)
    rows = []
    for number in range(count):
        part = levels[number * columns : (number + 1) * columns]
        place = (
            0.0,
            (bottom + (count - 1 - number) * tall) / height,
            0.9 * len(part) / columns,
            tall / height,
        )
        cuts = [(level - box[2].start) * float(scene.grid.voxel_size[2]) for level in part]
        rows.append(_behind(scene, box, figure, place, "z", cuts))
    return figure, rows
