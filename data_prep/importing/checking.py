"""Whether what is asked for can be done, and what is planned be read back, before anything is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from data_prep.cohort import read_leniently
from data_prep.importing.people import People
from data_prep.importing.records import BiopsyTable, ImportOptions
from data_prep.importing.sheets import read_sheet
from data_prep.problems import InputError, Problems, nearest


def check_places(options: ImportOptions, problems: Problems) -> None:
    """Note a name that is no text, and a folder that cannot be made or lies in the source."""
    out = options.out
    try:
        name = options.name or out.resolve().name
        if not name.strip() or not name.isprintable():
            problems.add("--name", f"plain text is needed, but got '{name}'.")
        if out.resolve().is_relative_to(options.source.resolve()):
            problems.add(str(out), "must lie outside of the source, in which nothing is changed.")
        elif out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
            problems.add(str(out), "must be new, but something is there. Choose another place.")
        else:
            _check_above(out, problems)
    except (OSError, RuntimeError) as error:  # the latter from links that go in a circle
        problems.add(str(out), f"cannot be written ({error}). Choose another place.")


def _check_above(out: Path, problems: Problems) -> None:
    """A new folder needs one above it that can be written to."""
    above = next(place for place in out.resolve().parents if os.path.lexists(place))
    if not above.is_dir():
        problems.add(str(out), f"must lie in a folder, but {above} is none. Choose another place.")
    elif not os.access(above, os.W_OK | os.X_OK):
        problems.add(str(out), f"cannot be written, as {above} is read-only. Choose another place.")


def refuse_alone(options: ImportOptions, problems: Problems) -> None:
    """Note flags that mean nothing without a table of expression."""
    for flag, is_given in (
        ("--gene-lengths", options.gene_lengths is not None),
        ("--gene-column", options.gene_column is not None),
        ("--expression-id", options.expression_id is not None),
        ("--orientation", options.orientation is not None),
        ("--duplicate-genes", options.duplicate_genes != "error"),
    ):
        if is_given:
            problems.add(flag, "has a meaning with --expression alone. Remove it.")


def check_drop(
    options: ImportOptions, biopsies: BiopsyTable | None, people: People, problems: Problems
) -> None:
    """Note columns of `--drop` that no table has, or that the cohort needs."""
    roles = {} if biopsies is None else {mapped.theirs: mapped.ours for mapped in biopsies.mapped}
    known = {column for row in biopsies.source_rows.values() for column in row} if biopsies else set()
    known |= set(people.known)
    if options.expression is not None and not known.issuperset(options.drop):
        sheet = read_sheet(options.expression, Problems(), row_names=True)
        known |= set() if sheet is None else set(sheet.columns)
    for name in options.drop:
        if name not in known:
            problems.add(f"--drop {name}", f"unknown column; {nearest(name, known)}.")
        elif name in roles and name not in people.known:
            problems.add(f"--drop {name}", f"the column is needed, as it is {roles[name]}. Remove it.")


def check_texts(texts: Mapping[str, str], images: Iterable[str], problems: Problems) -> None:
    """Note what a reader of the planned cohort would refuse.

    Args:
        texts: Tables and cohort.toml by their path in the cohort.
        images: Paths of images; they are taken as there, and not opened.
        problems: Receives what the reader says.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for image in images:
                path = root / image
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            for name, text in texts.items():
                (root / name).write_text(text, encoding="utf-8", newline="")
            read_leniently(root)[1].raise_any()
    except InputError as error:
        problems.extend(error)
    except OSError as error:
        problems.add(
            "temporary files", f"the plan cannot be checked ({error}). Is there space, and TMPDIR set?"
        )
