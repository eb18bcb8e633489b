"""Flags of `radsearch import`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from data_prep.importing.records import ImportOptions
from search.import_parser import add_import


def test_every_option_is_a_flag() -> None:
    parser = argparse.ArgumentParser()
    add_import(parser.add_subparsers(dest="command"))
    flags = vars(parser.parse_args(["import", "a", "--out", "b", "--biopsies", "c"]))
    renamed = {"patterns": "pattern", "sequences": "sequence", "masks": "mask", "columns": "map"}
    fields = {renamed.get(field.name, field.name) for field in dataclasses.fields(ImportOptions)}
    assert fields == set(flags) - {"command", "dry_run", "yes"}
    defaults = ImportOptions(Path("a"), Path("b"), "c")
    for field in dataclasses.fields(ImportOptions)[3:]:
        told = flags[renamed.get(field.name, field.name)]
        assert getattr(defaults, field.name) == (tuple(told) if isinstance(told, list) else told)
