"""What an import is asked for, what it finds and what it will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROLES: Final = ("biopsy_id", "participant_id", "session", "x", "y", "z")
"""Columns of biopsies.tsv that mean something; `session` is there where images have sessions."""

AXES: Final = ("x", "y", "z")


@dataclass(frozen=True)
class ImportOptions:
    """What a user asked for; the flags of `radsearch import` by the same names.

    Attributes:
        source: Folder with the images; nothing in it is touched.
        out: The cohort's folder to make.
        biopsies: Table of biopsies, "FILE" or "FILE:SHEET".
        patterns: Naming patterns of the images; none: BIDS names are read as such, others are guessed.
        sequences: Rules NAME=RULE; none: the defaults of BIDS, or the names that the patterns match.
        masks: Rules brain=RULE, tumor=RULE.
        only: Entities that every image of a BIDS dataset must have.
        columns: ROLE=COLUMN of the table of biopsies.
        drop: Columns that are left out, of any of the tables.
        header_row: Of the table of biopsies; None: the first row.
        space: "voxel" or "world"; None where the table makes it certain.
        convention: "RAS" or "LPS", of world coordinates; None likewise.
        one_based: Whether voxel indices count from 1.
        decimal_comma: Whether "1,234" is a number below two.
        session: Of all biopsies, where the table has no column that says so.
        repeats: Session in which the same sites were scanned again.
        expression: Table of expression, "FILE" or "FILE:SHEET".
        orientation: "genes-x-samples" or "samples-x-genes"; None: the axis that carries the biopsies.
        expression_id: Column of the table of biopsies with the names of the samples.
        gene_column: Column with the names of the genes, where they are rows.
        gene_lengths: Table of genes and lengths; with it the expression is taken as counts.
        duplicate_genes: "error", "first" or "sum".
        link: "copy" or "symlink".
        name: Of the cohort; None: that of its folder.
    """

    source: Path
    out: Path
    biopsies: str
    patterns: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    only: str | None = None
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    header_row: int | None = None
    space: str | None = None
    convention: str | None = None
    one_based: bool = False
    decimal_comma: bool = False
    session: str | None = None
    repeats: str | None = None
    expression: str | None = None
    orientation: str | None = None
    expression_id: str | None = None
    gene_column: str | None = None
    gene_lengths: str | None = None
    duplicate_genes: str = "error"
    link: str = "copy"
    name: str | None = None


@dataclass(frozen=True)
class LeftOut:
    """Something of the source that does not become part of the cohort, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Found:
    """An image of the source whose meaning is known.

    Attributes:
        path: Where it is.
        label: Its path in the source.
        participant: As it becomes part of the cohort's paths.
        session: Likewise; None where names tell no sessions.
        name: The sequence, or the mask ("brain", "tumor").
        mask: Whether it is a mask.
    """

    path: Path
    label: str
    participant: str
    session: str | None
    name: str
    mask: bool = False


@dataclass(frozen=True)
class Catalogue:
    """The images of a source.

    Attributes:
        files: Those whose meaning is known, by their label; one for each participant, session and name.
        order: The sequences in channel order.
        how: What the names were read by: "BIDS", or the patterns.
        guessed: Whether a user must confirm how the names were read.
        left_out: What was found and is not in `files`.
        notes: What was taken for granted, and what else a user should know, a line each.
        warnings: What is probably a mistake, and what to do.
    """

    files: tuple[Found, ...]
    order: tuple[str, ...]
    how: tuple[str, ...]
    guessed: bool = False
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mapped:
    """A column of biopsies.tsv and where it comes from."""

    ours: str
    theirs: str
    how: str


@dataclass(frozen=True)
class BiopsyTable:
    """The table of biopsies, read.

    Attributes:
        name: As problems quote it.
        columns: Of the rows, `ROLES` first.
        rows: By row number in the user's file: the text of each column.
        source_rows: Every column of the file as it is there, for ids of samples; likewise by row number.
        mapped: Where the columns come from.
        space: "voxel" or "world".
        convention: Of world coordinates, else None.
        notes: What was taken for granted, and what else a user should know.
        left_out: Columns and rows that are not in it.
        sound: Whether all its columns are known; where not, rows have those that are, and space is "".
    """

    name: str
    columns: tuple[str, ...]
    rows: Mapping[int, Mapping[str, str]]
    source_rows: Mapping[int, Mapping[str, str]]
    mapped: tuple[Mapped, ...]
    space: str
    convention: str | None
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    sound: bool = True


@dataclass(frozen=True)
class Placed:
    """One image of the cohort.

    Attributes:
        source: The file that it is made from.
        label: Its path in the source.
        target: Its path in the cohort, with forward slashes.
        action: "copy", "compress" (an uncompressed file that is stored as .nii.gz) or "symlink".
    """

    source: Path
    label: str
    target: str
    action: str


@dataclass(frozen=True)
class ImportPlan:
    """All that an import does, before anything is written.

    Attributes:
        out: The cohort's folder.
        images: Files of images and masks.
        texts: Tables and cohort.toml by their path in the cohort.
        how: What the names of the images were read by.
        guessed: Whether a user must confirm that.
        found: The images that were matched, also those that are not used.
        mapped: Columns of the table of biopsies.
        biopsies: How many there are.
        participants: How many they come from.
        notes: What was taken for granted, and what else a user should know.
        warnings: What is probably a mistake, and what to do.
        left_out: What does not become part of the cohort.
    """

    out: Path
    images: tuple[Placed, ...]
    texts: Mapping[str, str]
    how: tuple[str, ...]
    guessed: bool
    found: tuple[Found, ...]
    mapped: tuple[Mapped, ...]
    biopsies: int
    participants: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
