"""What the command line takes. Nothing heavy is loaded here: `radsearch --help` must answer at once."""

from __future__ import annotations

import argparse
import sys

from search.check_parser import add_check
from search.cluster_parser import add_cluster
from search.deployment_parser import add_deployment
from search.flags import Commands, add_grace, add_home, add_machine, add_set, add_storage, add_tracking
from search.import_parser import add_import
from search.judging_parser import add_judging
from search.phantom_parser import add_phantom
from search.retest_parser import add_retest

PROGRAM = "radsearch"


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that takes longer than the help itself."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"{PROGRAM} {version(PROGRAM)}\n")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Search network architectures and hyperparameters for spatially-resolved deep radiomics.",
        epilog="Start with:\n  radsearch phantom cohort --signal easy\n"
        "  radsearch run studies/quick.toml --cohort cohort",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_phantom(commands)
    add_import(commands)
    add_check(commands)
    _add_patches(commands)
    _add_run(commands)
    _add_space(commands)
    _add_list(commands)
    _add_show(commands)
    _add_ui(commands)
    _add_doctor(commands)
    _add_replay(commands)
    add_retest(commands)
    add_judging(commands)
    add_deployment(commands)
    add_cluster(commands)
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"seconds above 0 are needed, but got {text}")
    return value


def _tolerance(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number from 0 on is needed, but got {text}")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 (any free one) to 65535, but got {text}")
    return value


def _add_patches(commands: Commands) -> None:
    parser = commands.add_parser("patches", help="write the patches around the biopsies for other tools")
    parser.add_argument("cohort", metavar="COHORT", help="folder with a cohort.toml")
    parser.add_argument("--radius", type=int, required=True, help="voxels on each side of the biopsy voxel")
    parser.add_argument("--out", metavar="FILE.npz", required=True, help="the file to write")
    parser.add_argument("--raw", action="store_true", help="intensities before normalisation")
    parser.add_argument(
        "--slices", type=int, default=1, help="odd: neighbouring slices as channels (default: 1)"
    )
    parser.add_argument(
        "--spacing", type=float, metavar="MM", help="resample to this spacing (default: native)"
    )
    parser.add_argument(
        "--slice-distance", type=float, metavar="MM", help="between slices (default: --spacing, or native)"
    )
    parser.add_argument(
        "--resample-to", metavar="SEQUENCE", help="its grid for all, where a participant's grids differ"
    )
    parser.add_argument(
        "--normalisation",
        default="auto",
        metavar="METHOD",
        help="auto, zscore, robust, white-matter or none (default: auto)",
    )
    parser.add_argument("--gene", default="CD3D", help="gene of `label` and `tpm` (default: CD3D)")
    add_home(parser)


def _add_run(commands: Commands) -> None:
    parser = commands.add_parser("run", help="create a study, or continue it")
    parser.add_argument("study", metavar="STUDY.toml", help="what to search, on which cohort, and how")
    parser.add_argument("--cohort", metavar="DIR", help="instead of the file's cohort")
    parser.add_argument("--trials", type=int, metavar="N", help="trials in all, earlier starts included")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="S",
        help="stop after S seconds, starting no trial that would take longer; the same call continues",
    )
    add_machine(parser)
    add_grace(parser)
    add_set(parser)
    add_home(parser)
    add_tracking(parser)


def _add_space(commands: Commands) -> None:
    parser = commands.add_parser("space", help="print a study's search space as a tree, and how large it is")
    parser.add_argument("study", metavar="STUDY.toml", help="the study file; its cohort is not read")
    add_set(parser)


def _add_list(commands: Commands) -> None:
    parser = commands.add_parser("list", help="the studies of a home")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    add_home(parser)
    add_tracking(parser)


def _add_show(commands: Commands) -> None:
    parser = commands.add_parser("show", help="one study's trials and its estimate")
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    add_home(parser)
    add_tracking(parser)


def _add_doctor(commands: Commands) -> None:
    parser = commands.add_parser(
        "doctor", help="find and mend what a crash left behind, in Optuna, MLflow and the home"
    )
    parser.add_argument("study", metavar="STUDY", nargs="?", help="one study (default: all of the home)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be mended")
    parser.add_argument(
        "--lost-host",
        action="append",
        default=[],
        metavar="HOST",
        help="a machine that will not come back: the trials it was running are taken up by others",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    add_home(parser)
    add_tracking(parser)


def _add_replay(commands: Commands) -> None:
    parser = commands.add_parser("replay", help="run one trial again and compare it with what was recorded")
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    parser.add_argument("trial", metavar="TRIAL", type=int, help="the trial's number")
    parser.add_argument("--cohort", metavar="DIR", help="where the cohort is now (default: where it was)")
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=0.0,
        metavar="X",
        help="how far a metric may be from what was recorded (default: 0)",
    )
    parser.add_argument("--gpus", metavar="0", help="the GPU to use (default: the first)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    add_home(parser)
    add_storage(parser)


def _add_ui(commands: Commands) -> None:
    parser = commands.add_parser(
        "ui", help="optuna-dashboard (read-only) and the MLflow UI, on this machine only"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; any other than this machine's own needs a password (see the README)",
    )
    parser.add_argument(
        "--allowed-hosts",
        default="",
        metavar="NAME,...",
        help="host names under which browsers elsewhere reach it, with --host",
    )
    parser.add_argument(
        "--port", type=_port, default=8080, help="of the dashboard (default: 8080, or a free one)"
    )
    parser.add_argument(
        "--mlflow-port", type=_port, default=5000, help="of MLflow (default: 5000, or a free one)"
    )
    add_home(parser)
    add_tracking(parser)
