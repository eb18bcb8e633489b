"""`radsearch phantom OUT`."""

from __future__ import annotations

import argparse
from pathlib import Path

from data_prep.phantom import PhantomSpec, write_phantom
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
    )
    with counting("writing participants") as progress:
        answers = write_phantom(Path(args.out), spec, progress)
    say(f"{args.out}: {spec.biopsies} biopsies of {spec.participants} participants")
    say(
        f"best possible AUC of a model of patches of radius 8 (Bayes): {answers['auc_bayes']:.3f}; "
        f"see {args.out}/truth"
    )
    return 0
