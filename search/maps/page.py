"""One page to scroll through a map, with everything in it: nothing is loaded, and no other script may run.

The viewer is brainsprite, as nilearn brings it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from search.maps import sprites
from search.maps.combined import pheno_regions
from search.maps.pictures import COLOURS, CONTOUR, STATES
from search.maps.scene import ABOVE, BELOW, Scene
from search.maps.sprites import Bytes, Sampling
from search.report.page import POLICY, policy

_VIEWER = "_assets/js/brainsprite.min.js"
_SPREAD_COLOURS, _VALUE_COLOURS = "cividis", "plasma"
_UNLIKE = "#d9d9d9"
_KNOWN = {ABOVE: "above the cut", BELOW: "below the cut"}


@dataclass(frozen=True)
class Layer:
    """One thing that the viewer can lay over the image.

    Attributes:
        name: As the page calls it.
        kind: "probability", "value", "spread", "unlike" or "regions".
        picture: Data URI of its sprite.
        scale: Data URI of its colours in a row.
        colours: Of its levels, as #rrggbb.
        least: Value of the first of them.
        most: Value of the last of them.
        threshold: Of a probability.
        states: Of pheno-regions, the labels in the order of the colours.
        above: Of a probability, data URI of a sprite of what is above the threshold.
    """

    name: str
    kind: str
    picture: str
    scale: str
    colours: tuple[str, ...]
    most: float
    least: float = 0.0
    threshold: float | None = None
    states: tuple[str, ...] = ()
    above: str = ""


def render(scene: Scene, rows: Sequence[tuple[str, str]], notes: Sequence[str] = ()) -> str:
    """The page.

    Args:
        scene: The map and what lies behind it.
        rows: What is told of it in a table: names and values.
        notes: What must be borne in mind, a sentence each.
    """
    sampling = Sampling.of(scene.head, scene.grid.voxel_size)
    made = _layers(scene, sampling)
    page = (
        environment()
        .get_template("map.html")
        .render(
            name=scene.name,
            said=scene.said,
            labels=", ".join(scene.drawn.labels),
            sequence=scene.sequence,
            rows=rows,
            notes=notes,
            layers=made,
            grey=_grey(scene, sampling),
            data=_data(scene, sampling, made),
            sites=_sites(scene, sampling),
            viewer=Markup(_viewer()),  # noqa: S704 - the library as it is installed
            version=version("radsearch"),
            policy=POLICY,
        )
    )
    return page.replace(POLICY, policy(page), 1)


def _grey(scene: Scene, sampling: Sampling) -> str:
    low, high = scene.window
    share = (sampling.taken(scene.grey).astype(np.float64) - low) / (high - low)
    return sprites.grey_uri(sprites.sprite(np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)))


def _layers(scene: Scene, sampling: Sampling) -> list[Layer]:
    drawn = scene.drawn
    there = sampling.taken(drawn.region).astype(bool)
    made = [_probability(scene, number, sampling, there) for number in range(len(drawn.labels))]
    for number, label in enumerate(drawn.labels if drawn.value is not None else ()):
        value = np.asarray(drawn.value)[..., number]
        known = value[np.isfinite(value)]
        ends = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        made.append(_scaled(f"Value of {label}", "value", sampling.taken(value), there, ends, _VALUE_COLOURS))
    if len(drawn.labels) > 1:
        made.append(_regions(scene, sampling))
    for number, label in enumerate(drawn.labels):
        shown = sampling.taken(drawn.spread[..., number])
        ends = (0.0, float(np.max(np.nan_to_num(drawn.spread[..., number]))) or 1.0)
        made.append(_scaled(f"Uncertainty of {label}", "spread", shown, there, ends, _SPREAD_COLOURS))
    numbers = sampling.taken(drawn.unlike).astype(np.uint8)
    made.append(_layer("Unlike the training data", "unlike", numbers, _rgb([_UNLIKE]), (0.0, 1.0)))
    return made


def _probability(scene: Scene, number: int, sampling: Sampling, there: npt.NDArray[np.bool_]) -> Layer:
    drawn, name = scene.drawn, f"Probability of {scene.drawn.labels[number]}"
    shown = sampling.taken(drawn.probability[..., number])
    above = sampling.taken(drawn.above[..., number]).astype(np.uint8)
    return replace(
        _scaled(name, "probability", shown, there, (0.0, 1.0), COLOURS),
        threshold=drawn.thresholds[number],
        above=sprites.coloured_uri(sprites.sprite(above), _rgb(["white"])),
    )


def _scaled(
    name: str,
    kind: str,
    values: npt.NDArray[np.generic],
    there: npt.NDArray[np.bool_],
    ends: tuple[float, float],
    colours: str,
) -> Layer:
    palette = np.rint(255 * colormaps[colours](np.linspace(0, 1, sprites.LEVELS + 1))[:, :3]).astype(np.uint8)
    numbers = sprites.levels(np.asarray(values, np.float64) - ends[0], there, ends[1] - ends[0])
    return _layer(name, kind, numbers, palette, ends)


def _regions(scene: Scene, sampling: Sampling) -> Layer:
    labels = scene.drawn.labels
    palette = _rgb([STATES[number % len(STATES)] for number in range(len(labels))])
    numbers = sampling.taken(pheno_regions(scene.drawn)).astype(np.uint8)
    made = _layer("Pheno-regions", "regions", numbers, palette, (0.0, float(len(labels))))
    return replace(made, states=labels)


def _layer(name: str, kind: str, numbers: Bytes, palette: Bytes, ends: tuple[float, float]) -> Layer:
    picture = sprites.coloured_uri(sprites.sprite(numbers), palette)
    scale = sprites.coloured_uri(np.arange(1, len(palette) + 1, dtype=np.uint8)[None], palette)
    colours = tuple("#" + bytes(colour).hex() for colour in palette)
    return Layer(name, kind, picture, scale, colours, ends[1], ends[0])


def _rgb(names: Sequence[str]) -> Bytes:
    return np.rint([[255 * part for part in to_rgb(name)] for name in names]).astype(np.uint8)


def _data(scene: Scene, sampling: Sampling, made: Sequence[Layer]) -> dict[str, Any]:
    """What the script needs to know."""
    affine = scene.grid.canonical_affine @ sampling.affine
    return {
        "shape": sampling.shape,
        "affine": affine.tolist(),
        "start": sampling.nearest(scene.peak(0)),
        "contour": CONTOUR,
        "sites": [
            {"at": sampling.at(place).tolist(), "slices": slices}
            for place in scene.marks.places
            if (slices := sampling.showing(place)) is not None
        ],
        "layers": [
            {
                "kind": layer.kind,
                "name": layer.name,
                "colours": layer.colours,
                "least": layer.least,
                "most": layer.most,
                "threshold": layer.threshold,
                "states": layer.states,
            }
            for layer in made
        ],
    }


def _sites(scene: Scene, sampling: Sampling) -> list[tuple[str, str, str]]:
    """Each biopsy: its name, what is known of it, and its cube as "x,y,z"."""
    told = []
    for row, name in enumerate(scene.marks.names):
        words = [
            f"{label} {_KNOWN[known]}"
            for label in scene.drawn.labels
            if (known := scene.marks.known.get(label, [None] * (row + 1))[row]) is not None
        ]
        cube = sampling.nearest(scene.marks.places[row])
        told.append((name, ", ".join(words), ",".join(map(str, cube))))
    return told


@cache
def _viewer() -> str:
    return (files("nilearn") / _VIEWER).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Templates in which every text is escaped; the style is the report's."""
    return Environment(
        loader=ChoiceLoader([PackageLoader("search.maps"), PackageLoader("search.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
