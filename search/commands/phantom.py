"""`radsearch phantom OUT`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_prep.phantom import PhantomSpec, parse_voxel, write_phantom
from search.terminal import counting, say


def run(args: argparse.Namespace) -> int:
    """Write a phantom and say what can be known of it."""
    spec = PhantomSpec(
        participants=args.participants,
        biopsies=args.biopsies,
        signal=args.signal,
        kind=args.kind,
        size=args.size,
        missing=args.missing,
        repeats=args.repeats,
        seed=args.seed,
        voxel=None if args.voxel is None else parse_voxel(args.voxel),
        grids=args.grids,
        oblique=args.oblique,
        orientation=args.orientation,
        missing_by=args.missing_by,
        scanner_shift=args.scanner_shift,
        registration_error=args.registration_error,
        site_error=args.site_error,
        confounding=args.confounding,
    )
    with counting("writing participants") as progress:
        answers = write_phantom(Path(args.out), spec, progress)
    say(f"{args.out}: {spec.biopsies} biopsies of {spec.participants} participants")
    say(
        f"best possible AUC of a model of patches of radius 8 (Bayes): {answers['auc_bayes']:.3f}; "
        f"see {args.out}/truth"
    )
    for line in further_ceilings(answers):
        say(line)
    return 0


def further_ceilings(answers: Mapping[str, Any]) -> Iterator[str]:
    """What else is known of a phantom, by the options that it was made with.

    Args:
        answers: The truth of `write_phantom`.
    """
    if "auc_scanner_alone" in answers:
        yield (
            f"of it within scanners: {answers['auc_within_scanner']:.3f}; "
            f"of the scanner alone: {answers['auc_scanner_alone']:.3f}"
        )
    if "auc_registered" in answers:
        yield f"where the errors of registration are undone: {answers['auc_registered']:.3f}"
    if answers["spec"]["missing_by"] == "scanner":
        for name, scanner in answers["scanners"].items():
            if scanner["lacks"]:
                yield f"{name}, {scanner['share']:.0%} of participants, lacks {', '.join(scanner['lacks'])}"
    if "icc_same_scanner" in answers:
        yield (
            f"test-retest ICC of the ideal score: {answers['icc_same_scanner']:.2f} on the same scanner, "
            f"{answers['icc_new_scanner']:.2f} on another"
        )
