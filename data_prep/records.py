"""Records of a cohort: what is known of each biopsy before any image is opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data_prep.arrays import DoubleArray
from data_prep.cohort_file import CohortFile, Coordinates, placeholders
from data_prep.places import Place, Places
from data_prep.tables import MISSING

MASKS = ("brain", "tumor")


@dataclass(frozen=True)
class Biopsy:
    """One image-localised biopsy.

    Attributes:
        biopsy_id: Unique in the cohort.
        participant_id: Whom it was taken from.
        position: x, y, z as in the table; `Cohort.coordinates` says how they are meant.
        row: Row of biopsies.tsv, the header being row 1.
        columns: Every column of the table as text.
    """

    biopsy_id: str
    participant_id: str
    position: tuple[float, float, float]
    row: int
    columns: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Expression:
    """Transcripts per million (or whatever unit the table has).

    Attributes:
        file: Name of the table, as it is quoted in problems.
        genes: Column names.
        biopsy_id: One a row.
        values: Shape (rows, genes), NaN where the table says n/a.
    """

    file: str
    genes: tuple[str, ...]
    biopsy_id: tuple[str, ...]
    values: DoubleArray

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.biopsy_id)}

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {name: column for column, name in enumerate(self.genes)}

    def tpm(self, biopsy_id: str, gene: str) -> float | None:
        """Value of one biopsy, None where the table has none.

        Raises:
            KeyError: No such gene.
        """
        column = self._columns[gene]
        row = self._rows.get(biopsy_id)
        value = math.nan if row is None else float(self.values[row, column])
        return None if math.isnan(value) else value


@dataclass(frozen=True, eq=False)
class Cohort:
    """A cohort whose tables were read and found sound.

    Attributes:
        name: Its name.
        root: The folder of cohort.toml.
        sequences: Names of the MR sequences, in channel order.
        biopsies: In the order of the table.
        coordinates: How positions are meant.
        expression: None for a cohort that can only be predicted on.
        file: The content of cohort.toml, with the path templates.
    """

    name: str
    root: Path
    sequences: tuple[str, ...]
    biopsies: tuple[Biopsy, ...]
    coordinates: Coordinates
    expression: Expression | None
    file: CohortFile

    @property
    def participants(self) -> tuple[str, ...]:
        """Sorted participant ids."""
        return tuple(sorted({biopsy.participant_id for biopsy in self.biopsies}))

    def image_path(self, biopsy: Biopsy, sequence: str) -> Path:
        """Where the image of one sequence lies; a sequence the participant lacks is an absent file."""
        return self._filled(self.file.images, biopsy, sequence)

    def mask_path(self, biopsy: Biopsy, mask: str) -> Path | None:
        """Where a mask ("brain" or "tumor") lies, None where cohort.toml declares none."""
        template: str | None = getattr(self.file.masks, mask)
        return None if template is None else self._filled(template, biopsy)

    def images(self, biopsy: Biopsy, sequences: tuple[str, ...]) -> dict[str, Path]:
        """Those of the sequences whose file exists, with their paths."""
        paths = {sequence: self.image_path(biopsy, sequence) for sequence in sequences}
        template = self.file.images
        return {name: path for name, path in paths.items() if self.places.at(path, template).usable}

    def masks(self, biopsy: Biopsy) -> dict[str, Path]:
        """Those of the masks whose file exists, with their paths."""
        paths = {mask: self.mask_path(biopsy, mask) for mask in MASKS}
        templates = self.file.masks.model_dump()
        return {n: p for n, p in paths.items() if p is not None and self.places.at(p, templates[n]).usable}

    def refused(self, biopsy: Biopsy) -> list[Place]:
        """What lies where images, masks and repeats of a biopsy should, and must not be read."""
        places = []
        for key, template in self.file.templates():
            for sequence in self.sequences if key.endswith("images") else (None,):
                if key != "repeats.images" or not _lacks(biopsy, template):
                    places.append(self.places.at(self._filled(template, biopsy, sequence), template))
        return [place for place in places if place.problem is not None]

    def by_columns_of_paths(self) -> list[list[Biopsy]]:
        """The biopsies, those together whose files are the same by what the table says."""
        names = {name for _, template in self.file.templates() for name in placeholders(template)}
        groups: dict[tuple[str, ...], list[Biopsy]] = {}
        for biopsy in self.biopsies:
            groups.setdefault(tuple(biopsy.columns.get(name, "") for name in names), []).append(biopsy)
        return list(groups.values())

    @cached_property
    def places(self) -> Places:
        """What lies at the paths of this cohort."""
        return Places(self.root, self.file.follow_links)

    def _filled(self, template: str, biopsy: Biopsy, sequence: str | None = None) -> Path:
        columns = biopsy.columns if sequence is None else {**biopsy.columns, "sequence": sequence}
        return self.root / template.format_map(columns)

    def label_of(self, path: Path) -> str:
        """A path as it is quoted in problems: relative to the cohort where it lies inside."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def _lacks(biopsy: Biopsy, template: str) -> bool:
    """Whether a column of the template says n/a for the biopsy."""
    return any(biopsy.columns.get(name) == MISSING for name in placeholders(template))
