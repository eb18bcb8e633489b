"""`radsearch space STUDY.toml`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from search.discovery import discover
from search.space_tree import count, count_text, space_tree
from search.study_file import read_study
from search.terminal import say


def run(args: argparse.Namespace) -> int:
    """Print the search space of a study file as a tree, and how large it is."""
    study = read_study(Path(args.study), args.set, cohort=Path())  # none is read
    space, own = study.parameters, study.catalogue.own
    hypermodels = [name for name in space.architectures if name in own and own[name].kind == "hypermodel"]
    if hypermodels:
        sys.stderr.write(f"building {', '.join(hypermodels)} to see what is asked for\n")
    asked = discover(study, hypermodels)
    number = len(space.parameters)
    title = f"{study.name}: {number} parameter{'' if number == 1 else 's'}"
    Console().print(space_tree(space, title, asked))
    say(count_text(count(space)))
    for name in hypermodels:
        say(f"{name} asks for {len(asked[name])} parameters when it is built, which are not counted")
    return 0
