"""`radsearch patches COHORT --radius R --out FILE.npz`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from data_prep.cache import load_patches
from data_prep.cohort import Cohort, read_cohort
from data_prep.files import FULL, whole_file
from data_prep.intensity import methods_of
from data_prep.labels import LabelDefinition, label_biopsies
from data_prep.patches import PatchRequest, PatchSet
from data_prep.problems import InputError, nearest
from search.home import Home
from search.terminal import counting, say
from search.writable import folder_problem

NO_LABEL = -1


def run(args: argparse.Namespace) -> int:
    """Extract the patches of every biopsy and write them with their labels."""
    out = Path(args.out)
    if out.suffix != ".npz":
        raise InputError(f"--out: a name that ends in .npz is needed, but got {out}")
    if problem := folder_problem(out.parent):
        raise InputError(f"--out: {problem}")
    cohort = read_cohort(Path(args.cohort))
    request = _request(args, cohort)
    definition = LabelDefinition((args.gene,))
    label, tpm = _labels(cohort, definition)
    with counting("reading volumes: participant") as progress:
        patches = load_patches(cohort, request, Home.at(args.home).cache, progress)
    images = patches.raw_images(args.radius) if args.raw else patches.images(args.radius)
    try:
        _write(out, patches, images, label, tpm)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InputError(f"--out: {out} cannot be written: {error.strerror}") from error
    padded = int((patches.padded(args.radius) > 0).sum())
    say(f"{out}: patches {images.shape}, {padded} of them across the border and padded")
    own = [name for name, method in zip(request.sequences, request.methods, strict=True) if method == "none"]
    if own and not args.raw:
        say(f"in units of their own, not normalised: {', '.join(own)}")
    return 0


def _request(args: argparse.Namespace, cohort: Cohort) -> PatchRequest:
    """What to cut out, by the flags."""
    if args.resample_to is not None and args.resample_to not in cohort.sequences:
        hint = nearest(args.resample_to, cohort.sequences)
        raise InputError(f"--resample-to: unknown sequence '{args.resample_to}'; {hint}.")
    methods = methods_of(args.normalisation, cohort.sequences, cohort.file.quantitative)
    if "nyul" in methods:
        raise InputError(
            "--normalisation: 'nyul' is fitted on a training fold, which only a study has. Use 'robust', or "
            "'none' for the intensities as they are"
        )
    return PatchRequest(
        cohort.sequences,
        args.radius,
        args.slices,
        args.spacing,
        args.slice_distance,
        args.resample_to,
        methods,
    )


def _labels(cohort: Cohort, definition: LabelDefinition) -> tuple[np.ndarray, np.ndarray]:
    """Label (-1 without expression) and score (NaN without) of every biopsy, in table order."""
    label = np.full(len(cohort.biopsies), NO_LABEL, dtype=np.int64)
    score = np.full(len(cohort.biopsies), np.nan)
    if cohort.expression is None:
        return label, score
    labels = label_biopsies(cohort, definition)
    rows = {biopsy_id: row for row, biopsy_id in enumerate(labels.biopsy_id)}
    for index, biopsy in enumerate(cohort.biopsies):
        if biopsy.biopsy_id in rows:
            label[index] = labels.label[rows[biopsy.biopsy_id]]
            score[index] = labels.score[rows[biopsy.biopsy_id]]
    return label, score


def _write(out: Path, patches: PatchSet, images: np.ndarray, label: np.ndarray, tpm: np.ndarray) -> None:
    with whole_file(out) as temporary:
        np.savez(
            temporary,
            patches=images,
            label=label,
            tpm=tpm,
            biopsy_id=np.array(patches.biopsy_id),
            participant_id=np.array(patches.participant_id),
            channel=np.array(patches.channel_names),
            present=patches.present,
            sequence=np.array(patches.sequences),
            padded=patches.padded(patches.radius),
        )
