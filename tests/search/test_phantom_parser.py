from __future__ import annotations

import argparse
import dataclasses

from data_prep.phantom import PhantomSpec
from search.phantom_parser import add_phantom


def test_every_option_of_a_phantom_has_a_flag_with_its_default() -> None:
    parser = argparse.ArgumentParser()
    add_phantom(parser.add_subparsers())
    typed = vars(parser.parse_args(["phantom", "out"]))
    assert typed.pop("out") == "out"
    assert typed == dataclasses.asdict(PhantomSpec())
