"""What `radsearch refit`, `radsearch predict` and `radsearch map` take."""

from __future__ import annotations

import argparse

from search.flags import Commands, add_cohort, add_home, add_json, add_machine, add_tracking, at_least

SEEDS = 3
REGIONS = ("auto", "tumor", "brain", "head", "estimated-tumor")


def add_deployment(commands: Commands) -> None:
    """The commands that lead from a study to a map."""
    _add_refit(commands)
    _add_predict(commands)
    _add_map(commands)


def _add_refit(commands: Commands) -> None:
    parser = commands.add_parser(
        "refit", help="train what a study selects on all its biopsies, as a model folder to predict with"
    )
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    parser.add_argument(
        "--trial", type=at_least(0), metavar="N", help="this trial (default: what the study's rule selects)"
    )
    parser.add_argument(
        "--seeds",
        type=at_least(1),
        default=SEEDS,
        metavar="N",
        help=f"networks of each configuration, averaged (default: {SEEDS})",
    )
    parser.add_argument("--name", metavar="NAME", help="of the model (default: the study's)")
    parser.add_argument("--out", metavar="DIR", help="the model folder (default: models/NAME/N in the home)")
    parser.add_argument(
        "--skip-folds",
        action="store_true",
        help="without the models of the folds: no out-of-fold maps, no explanations",
    )
    parser.add_argument("--skip-explanations", action="store_true", help="do not occlude and permute")
    parser.add_argument("--skip-registering", action="store_true", help="leave MLflow out")
    add_cohort(parser)
    add_machine(parser)
    add_json(parser)
    add_home(parser)
    add_tracking(parser)


def _add_predict(commands: Commands) -> None:
    parser = commands.add_parser(
        "predict", help="probabilities at the biopsy sites of a cohort, or at others"
    )
    _add_model_and_cohort(parser)
    parser.add_argument("--out", metavar="FILE.tsv", required=True, help="the table to write")
    parser.add_argument(
        "--sites", metavar="FILE.tsv", help="other sites than the cohort's: the columns of its biopsies.tsv"
    )
    _add_out_of_fold(parser)
    add_json(parser)
    add_home(parser)
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="MLflow server of models:/ (default: a database in the home)"
    )


def _add_map(commands: Commands) -> None:
    parser = commands.add_parser(
        "map", help="probability at every voxel of a region: NIfTI, pictures, a page"
    )
    _add_model_and_cohort(parser)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--participant", metavar="ID", help="whose map")
    whose.add_argument("--all", action="store_true", help="a map of every participant")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the maps")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--mask", metavar="FILE", help="a NIfTI mask on the participant's grid")
    where.add_argument(
        "--within",
        choices=REGIONS,
        default="auto",
        help="a mask of the cohort, or one estimated from the images (default: tumor, else estimated-tumor)",
    )
    parser.add_argument(
        "--stride", type=at_least(1), default=1, metavar="N", help="every Nth voxel, the rest interpolated"
    )
    _add_out_of_fold(parser)
    parser.add_argument("--score", action="store_true", help="compare with the planted truth of a phantom")
    parser.add_argument("--truth", metavar="DIR", help="where that is, with --score (default: COHORT/truth)")
    parser.add_argument("--skip-tracking", action="store_true", help="do not log the maps to MLflow")
    add_json(parser)
    add_home(parser)
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="MLflow server (default: a database in the home)"
    )


def _add_model_and_cohort(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a model folder, the name of a model in the home, or models:/NAME@ALIAS",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder with a cohort.toml")


def _add_out_of_fold(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out-of-fold",
        action="store_true",
        help="for participants of the training set only models that never saw them",
    )
