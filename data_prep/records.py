"""Records of a cohort: what is known of each biopsy before any image is opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from data_prep.arrays import DoubleArray
from data_prep.cohort_file import CohortFile, Coordinates

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
        return self.root / self.file.images.format_map({**biopsy.columns, "sequence": sequence})

    def mask_path(self, biopsy: Biopsy, mask: str) -> Path | None:
        """Where a mask ("brain" or "tumor") lies, None where cohort.toml declares none."""
        template: str | None = getattr(self.file.masks, mask)
        return None if template is None else self.root / template.format_map(biopsy.columns)

    def images(self, biopsy: Biopsy, sequences: tuple[str, ...]) -> dict[str, Path]:
        """Those of the sequences whose file exists, with their paths."""
        paths = {sequence: self.image_path(biopsy, sequence) for sequence in sequences}
        return {sequence: path for sequence, path in paths.items() if path.is_file()}

    def label_of(self, path: Path) -> str:
        """A path as it is quoted in problems: relative to the cohort where it lies inside."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
