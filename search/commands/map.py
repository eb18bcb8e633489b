"""`radsearch map MODEL COHORT --participant ID --out DIR`.

What draws is imported once the flags are checked: it takes seconds to load.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.problems import InputError, nearest
from search.cli import EXIT_INPUT
from search.home import Home
from search.tracking_uri import check_uri
from search.writable import folder_problem

if TYPE_CHECKING:
    from data_prep.phantom.map_truth import Truth
    from data_prep.records import Cohort
    from search.deployment.model import Model
    from search.maps.asking import Asking


def run(args: argparse.Namespace) -> int:
    """Draw maps; 0 where there is one of everybody asked for, 1 where somebody's images are at fault."""
    out, home = Path(args.out), Home.at(args.home)
    _check(args, out)
    from search.deployment.finding import find_model
    from search.maps.several import Order, draw_several
    from search.maps.showing import show, write_scores

    asking = _asking(args, find_model(args.model, home, args.tracking_uri))
    wanted = asking.cohort.participants if args.all else (_known(asking.cohort, args.participant),)
    tracking = None if args.skip_tracking else (home, args.tracking_uri)
    found = draw_several(asking, Order(wanted, out, tracking, overall=args.all))
    scores = write_scores(out, found.made)
    show(args.json, asking, found, scores, out if args.all else None)
    return EXIT_INPUT if found.failed else 0


def _check(args: argparse.Namespace, out: Path) -> None:
    if args.truth is not None and not args.score:
        raise InputError("--truth: it is read with --score alone. Add --score")
    if args.mask is not None and not Path(args.mask).is_file():
        raise InputError(f"--mask: a NIfTI file is needed, but {args.mask} is none")
    if not Path(args.cohort).is_dir():
        raise InputError(f"COHORT: a folder with a cohort.toml is needed, but {args.cohort} is none")
    if args.tracking_uri is not None:
        check_uri(args.tracking_uri)
    if problem := folder_problem(out):
        raise InputError(f"--out: {problem}")


def _asking(args: argparse.Namespace, model: Model) -> Asking:
    from data_prep.cohort import read_cohort
    from search.deployment.fitting_cohort import as_needed
    from search.deployment.seen import check_folds
    from search.maps.asking import Asking

    if args.out_of_fold:
        check_folds(model)
    cohort = as_needed(read_cohort(Path(args.cohort)), model)
    truth = _truth(cohort, args.truth, model) if args.score else None
    mask = None if args.mask is None else Path(args.mask)
    return Asking(model, cohort, args.within, mask, args.stride, args.out_of_fold, truth)


def _truth(cohort: Cohort, folder: str | None, model: Model) -> Truth:
    from data_prep.phantom.map_truth import truth_of

    truth = truth_of(cohort.root / "truth" if folder is None else Path(folder))
    truth.check(cohort)
    truth.check_labels(model.facts.label_names)
    return truth


def _known(cohort: Cohort, participant: str) -> str:
    if participant not in cohort.participants:
        raise InputError(
            f"--participant: one of the cohort's is needed, but got {participant!r}; "
            f"{nearest(participant, cohort.participants)}"
        )
    return participant
