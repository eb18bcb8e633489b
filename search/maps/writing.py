"""The files of one map: volumes on the participant's grid, pictures, a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from data_prep.volume_out import write_volume
from data_prep.volumes import Volume
from search.figures import save_figure
from search.maps.combined import meaning, pheno_regions
from search.maps.naming import file_name
from search.maps.page import render
from search.maps.pictures import mosaic_picture, planes_picture, regions_picture
from search.maps.scene import Scene

VOLUME: Final = ".nii.gz"


def write_volumes(scene: Scene, folder: Path, placed_like: Volume | None = None) -> list[str]:
    """Write the map as NIfTI files; returns their names.

    Args:
        scene: The map.
        folder: Where the files go.
        placed_like: The participant's file whose grid it is: its orientation and both its forms are kept.
    """
    drawn, stem = scene.drawn, file_name(scene.name)
    found: dict[str, npt.NDArray[Any]] = {f"{stem}_unlike": drawn.unlike.astype(np.uint8)}
    for number, label in enumerate(drawn.labels):
        of = f"{stem}_{file_name(label)}"
        found[f"{of}_probability"] = drawn.probability[..., number]
        found[f"{of}_uncertainty"] = drawn.spread[..., number]
        found[f"{of}_region"] = drawn.above[..., number].astype(np.uint8)
        if drawn.value is not None:
            found[f"{of}_value"] = drawn.value[..., number]
    if len(drawn.labels) > 1:
        found[f"{stem}_pheno_regions"] = pheno_regions(drawn)
    for name, volume in found.items():
        description = _described(drawn.labels) if name.endswith("pheno_regions") else ""
        write_volume(folder / f"{name}{VOLUME}", volume, drawn.grid, placed_like, description)
    return [f"{name}{VOLUME}" for name in found]


def _described(labels: tuple[str, ...]) -> str:
    """What the numbers of the pheno-regions mean, in short."""
    return ", ".join(f"{number} {name}" for number, name in meaning(labels).items())


def write_pictures(scene: Scene, folder: Path) -> list[str]:
    """Write the pictures as PNG files; returns their names, the planes of the first label first."""
    stem, names = file_name(scene.name), []
    for number, label in enumerate(scene.drawn.labels):
        of = f"{stem}_{file_name(label)}"
        save_figure(planes_picture(scene, number), folder / f"{of}.png")
        save_figure(mosaic_picture(scene, number), folder / f"{of}_mosaic.png")
        names += [f"{of}.png", f"{of}_mosaic.png"]
    if len(scene.drawn.labels) > 1:
        names.append(f"{stem}_pheno_regions.png")
        save_figure(regions_picture(scene), folder / names[-1])
    return names


def write_page(scene: Scene, folder: Path, rows: Sequence[tuple[str, str]], notes: Sequence[str]) -> str:
    """Write the page; returns its name. Arguments as of `search.maps.page.render`."""
    name = f"{file_name(scene.name)}.html"
    (folder / name).write_text(render(scene, rows, notes), encoding="utf-8")
    return name
