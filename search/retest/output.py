"""The figures and tables of a test-retest analysis, each a file of its own under `--out`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from data_prep.files import whole_file
from data_prep.problems import InputError
from search.figures import DPI
from search.report.style import svg
from search.retest.figures import bland_altman_figure, maps_figure
from search.retest.paired import Paired
from search.retest.record import Retest
from search.retest.tables import features_lines, sites_lines
from search.writable import folder_problem


def check_out(out: Path) -> None:
    """Refuse a folder that cannot be written before anything is fitted.

    Raises:
        InputError: It is no folder, or cannot be written.
    """
    if problem := folder_problem(out):
        raise InputError(f"--out: {problem}")


def write_out(out: Path, found: Retest, biopsies: Paired, maps: Paired | None) -> list[Path]:
    """Write them, in place of those of an earlier call.

    Args:
        out: A folder, made if need be.
        found: The result.
        biopsies: What was said of the biopsies.
        maps: What was said of the lattice; None without a map.

    Returns:
        The files.
    """
    written = [_table(out / "biopsies.tsv", sites_lines(biopsies, "biopsy_id"))]
    written.append(_table(out / "features.tsv", features_lines(found.features)))
    if maps is not None:
        written.append(_table(out / "map.tsv", sites_lines(maps, "site")))
    for name, figure in _figures(found, biopsies):
        written += _pictures(out / name, figure)
    return written


def _figures(found: Retest, biopsies: Paired) -> Iterator[tuple[str, Figure]]:
    if found.biopsies.differences is not None:
        yield "bland-altman", bland_altman_figure(biopsies, found.biopsies.differences)
    if found.own_maps:
        yield "map-agreement", maps_figure(found.own_maps)


def _table(path: Path, lines: list[str]) -> Path:
    with whole_file(path) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _pictures(stem: Path, figure: Figure) -> list[Path]:
    vector, pixels = stem.with_suffix(".svg"), stem.with_suffix(".png")
    with whole_file(vector) as draft:
        draft.write_text(svg(figure, stem.name), encoding="utf-8")
    with whole_file(pixels) as draft:
        figure.savefig(draft, dpi=2 * DPI)
    return [vector, pixels]
