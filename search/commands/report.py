"""`radsearch report STUDY --out DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import optuna

from data_prep.problems import InputError
from search.audit import SUSPICIOUS_AUC
from search.audit.auditing import run_audit
from search.audit.looks import look
from search.audit.record import write_audit
from search.errors import StudyStoppedError
from search.home import Home
from search.material import Material
from search.opening import study_id
from search.recorded import material_of, recorded_study
from search.report.audited import is_due
from search.report.contents import contents, written_by
from search.report.delivery import keep, log_report, plain, show_on_dashboard
from search.report.evidence import Evidence, gather
from search.report.importance_run import measured_importance
from search.report.output import PAGE, report_folder, write_report
from search.report.page import render
from search.report.results import findings
from search.report.words import headline, paragraph
from search.storage import open_storage, storage_told
from search.study_file import Study
from search.terminal import counting, placed, say


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Write the report of a study, and hand it on to MLflow and the dashboard."""
    home = Home.at(args.home)
    study, definition = recorded_study(home, args.storage, args.study, args.cohort)
    folder_of_study = home.study(definition.name)
    with report_folder(Path(args.out), definition.name, study_id(study)) as folder:
        evidence = _evidence(args, study, definition, home)
        look(folder_of_study, "report", len(evidence.counted))
        told = findings(evidence)
        sections = contents(evidence)
        page = render(f"Study {definition.name}", headline(told), written_by(), sections)
        files = write_report(page, sections, folder)
        kept = keep(files, folder_of_study)
    say(paragraph(told))
    say(f"Report: {Path(args.out) / PAGE}")
    lines = (f"**{plain(headline(told))}**", plain(paragraph(told)), written_by())
    _hand_on(args, study, home, kept, lines)
    return 0


def _evidence(args: argparse.Namespace, study: optuna.Study, definition: Study, home: Home) -> Evidence:
    material = _material(args, study, definition, home)
    if material is not None:
        if is_due(study, definition, home):
            _audit(study, definition, home)
        if not args.skip_importance:
            placements = placed(args.workers, args.gpus, args.slots_per_gpu, args.require_gpu)
            with counting("fitting the best trial again: fold") as progress:
                measured_importance(study, definition, home, material, placements, progress)
    with counting("estimating: step") as progress:
        return gather(study, definition, home, material, progress)


def _material(
    args: argparse.Namespace, study: optuna.Study, definition: Study, home: Home
) -> Material | None:
    """The dataset; None, and a word on it, where the cohort is gone and nobody said where to."""
    if args.cohort is None and not Path(definition.cohort or "").is_dir():
        _tell(
            f"the cohort is not at {definition.cohort} any more: --cohort says where it is; going on "
            "without it"
        )
        return None
    with counting("reading volumes: participant") as progress:
        return material_of(definition, study, home, progress)


def _audit(study: optuna.Study, definition: Study, home: Home) -> None:
    """Look for leaks before anybody reads so high an AUC."""
    _tell(f"an AUC above {SUSPICIOUS_AUC:.2f} is more often a leak than a discovery: auditing the study")
    with counting("audit: step") as progress:
        write_audit(home.study(definition.name), run_audit(study, definition, home, progress))


def _hand_on(
    args: argparse.Namespace, study: optuna.Study, home: Home, kept: dict[str, Path], lines: tuple[str, ...]
) -> None:
    """To MLflow and the dashboard; the report stands, whatever becomes of that."""
    try:
        left = log_report(study, kept, home, args.tracking_uri)
        if left:
            _tell(f"MLflow has not taken {left} files yet; they wait in the home and go out at the next run")
    except InputError as error:
        _tell(f"MLflow could not be told: {error}")
    try:
        opened = optuna.load_study(study_name=study.study_name, storage=open_storage(args.storage, home))
        show_on_dashboard(opened, kept, home, lines)
    except (StudyStoppedError, InputError, OSError) as error:
        _tell(f"the dashboard could not be told: {error}")


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
