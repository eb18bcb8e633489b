"""`radsearch retest STUDY`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from data_prep.problems import InputError
from data_prep.repeats import second_scans
from search.home import Home
from search.opening import study_id
from search.placement import Placement
from search.recorded import material_of, recorded_study
from search.refits.crew import run_fits
from search.refits.forecast import fits_counted, forecast, pace_of, seconds_of
from search.refits.ledger import FitLedger
from search.retest.features import feature_agreement
from search.retest.judged import each_trial, judge, own_maps
from search.retest.output import check_out, write_out
from search.retest.paired import Paired, biopsies_of, maps_of, remarks_of
from search.retest.plan import Plan, plan_of
from search.retest.record import Retest, write_retest
from search.retest.tables import agreement_table, features_table, notes
from search.scenes import Scenes, no_repeats
from search.storage import storage_told
from search.terminal import counting, placed, say

LEDGER = "retest.jsonl"


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Score second scans by models that never saw their participant; a finished fit is never run twice."""
    home = Home.at(args.home)
    placements = placed(args.workers, args.gpus, args.slots_per_gpu, args.require_gpu)
    out = None if args.out is None else Path(args.out)
    if out is not None:
        check_out(out)
    recorded, study = recorded_study(home, args.storage, args.study, args.cohort)
    with counting("reading volumes: participant") as progress:
        material = material_of(study, recorded, home, progress)
    if second_scans(material.source) is None:
        raise InputError(no_repeats(material.source))
    scenes = Scenes(material, study.parameters.largest_radius, home.cache)
    stride = None if args.skip_maps else float(args.stride)
    _load(scenes, stride)
    plan = plan_of(recorded, study, material, scenes, args.trial, stride)
    folder = home.study(study.name)
    with FitLedger.open(folder.root / "refits" / LEDGER, plan.context) as ledger:
        pace = seconds_of(plan.configs, pace_of(recorded))
        kept = sum(fit in ledger for fit in plan.fits)
        _tell(forecast(len(plan.fits), kept, pace, len(placements)))
        _fit(plan, ledger, home, placements)
        biopsies, maps = biopsies_of(plan, ledger), maps_of(plan, ledger)
        remarks = remarks_of(plan, ledger)
    found = _found(plan, study_id(recorded), biopsies, maps, stride, home)
    record = found.to_json()
    written = [write_retest(folder, record), *([] if out is None else write_out(out, found, biopsies, maps))]
    _show(args.json, found, record, [*remarks, *(f"wrote {path}" for path in written)])
    return 0


def _load(scenes: Scenes, stride: float | None) -> None:
    """Cut the patches before any process needs them, so that each is cut once."""
    with counting("reading second scans: participant") as progress:
        scenes.second(progress)
    if stride is None:
        return
    with counting("laying the lattice: participant") as progress:
        scenes.lattice(stride, progress)
    with counting("reading volumes for the maps: participant") as progress:
        scenes.maps(stride, progress)


def _fit(plan: Plan, ledger: FitLedger, home: Home, placements: tuple[Placement, ...]) -> None:
    with fits_counted("fits:") as progress:
        run_fits(plan.fits, ledger, plan.study, home, plan.material, placements, progress)


def _found(
    plan: Plan, identity: str, biopsies: Paired, maps: Paired | None, stride: float | None, home: Home
) -> Retest:
    """The agreement of all that was scored."""
    with counting("comparing features: step") as progress:
        progress(0, 1)
        features = feature_agreement(plan, home.cache)
        progress(1, 1)
    return Retest(
        plan=plan,
        study_id=identity,
        biopsies=judge(biopsies, independent=True),
        trials=tuple(each_trial(biopsies, plan.trials)),
        maps=None if maps is None else judge(maps, independent=False),
        own_maps=() if maps is None else tuple(own_maps(maps)),
        lattice=None if stride is None else plan.scenes.lattice(stride),
        stride_mm=stride,
        features=tuple(features),
    )


def _show(as_json: bool, found: Retest, record: dict[str, object], lines: list[str]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(record, indent=2, allow_nan=False) + "\n")
        for line in lines:
            _tell(line)
        return
    console = Console()
    console.print(agreement_table(found))
    if found.features:
        console.print(features_table(found.features))
    for line in (*notes(found), *lines):
        say(line)


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
