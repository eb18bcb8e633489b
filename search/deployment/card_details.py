"""What a model is, what it reads and where it comes from, in the words and tables of its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from search.deployment.facts import ModelFacts
from search.deployment.markdown import bullets, escaped, table
from search.refits.chosen import NAMED
from search.report.phrases import counted, decimal, listed

MISSING = {
    "drop": "no biopsy that lacked a sequence was learned from",
    "zero": "an absent one is 0 after normalisation",
    "mask": "an absent one is 0 after normalisation, and a further channel says so",
    "mean": "an absent one is the mean patch of the training biopsies",
}
RANKED = (
    "Each configuration ranks a place among the biopsies held out of its training; the mean rank is "
    "calibrated on the labels of these (Platt)."
)
SCORED = "Its score is calibrated on biopsies held out of its training (Platt)."


def details(facts: ModelFacts) -> Iterator[str]:
    """Who made it, of what, and what it is shown."""
    yield (
        f"Made on {facts.created[:10]} by radsearch {escaped(facts.software.get('radsearch', '-'))} from "
        f"{_selected(facts)} of study {escaped(facts.study)}. {_members(facts)}"
    )
    rows = (
        (
            str(trial),
            escaped(str(settings.get("architecture", "-"))),
            *_counts(facts, number),
            _told(settings),
        )
        for number, (trial, settings) in enumerate(zip(facts.trials, facts.configurations, strict=True))
    )
    yield table(("trial", "architecture", "members", "epochs", "settings"), rows)
    yield RANKED if len(facts.configurations) > 1 else SCORED
    yield bullets(_inputs(facts))


def use(facts: ModelFacts) -> Iterator[str]:
    """What it says, and what that is for."""
    yield "For each place in the brain the model says how likely the tissue there has a label:"
    rows = (
        (escaped(one.name), escaped(one.definition), _cut(one.cut, one.unit), decimal(one.threshold, 3))
        for one in facts.labels
    )
    yield table(("label", "what it means", "cut", "positive above probability"), rows)
    yield (
        "Primary use: research on maps of these labels. Out of scope: diagnosis, treatment, choice of a "
        "biopsy site, or any other decision about a patient; other diseases, species or scanners than those "
        "of the training cohort; places outside the brain."
    )


def provenance(facts: ModelFacts) -> Iterator[str]:
    """Hashes, versions, and whose weights it began with."""
    own = facts.training
    hashes = {"patches": own.patches, "labels": own.labels, "folds": own.folds, "context": own.context}
    yield table(("what", "sha256"), ((name, escaped(value)) for name, value in hashes.items()))
    versions = ", ".join(f"{escaped(name)} {escaped(version)}" for name, version in facts.software.items())
    yield f"Software: {versions}. Trained on: {escaped(facts.device) or 'unknown'}."
    weights = (str(one.get("weights", "none")) for one in facts.configurations)
    begun = [escaped(_file_name(name)) for name in dict.fromkeys(weights) if name != "none"]
    if begun:
        yield (
            f"Licence: training began with weights made elsewhere ({listed(begun)}); the terms of their "
            "makers hold for this model too, and those of the training data."
        )
    else:
        yield (
            "Licence: all weights were made from the training data alone, so that the terms of these data "
            "hold."
        )


def _selected(facts: ModelFacts) -> str:
    """The trials that it is made of."""
    numbers = listed([str(trial) for trial in facts.trials])
    how = "named by hand" if facts.rule == NAMED else f"selected by {escaped(facts.rule)}"
    return f"{'trial' if len(facts.trials) == 1 else 'trials'} {numbers} ({how})"


def _members(facts: ModelFacts) -> str:
    final = len(facts.members_of(None))
    told = f"{counted(final, 'member')} learned from all biopsies and {'answer' if final > 1 else 'answers'}"
    if not facts.folds:
        return f"{told}; there are no members of the folds."
    others = counted(len(facts.members) - final, "other")
    return f"{told}; {others} learned without one of {facts.folds} folds each, and answer for its biopsies."


def _counts(facts: ModelFacts, configuration: int) -> tuple[str, str]:
    """Members that learned from all, and their epochs."""
    members = sum(one.configuration == configuration for one in facts.members_of(None))
    epochs = facts.epochs[configuration]
    return str(members), "-" if epochs is None else str(epochs)


def _told(settings: Mapping[str, Any]) -> str:
    """Settings in a cell; of files, their names alone."""
    told = {name: value for name, value in settings.items() if name != "architecture"}
    if "weights" in told:
        told["weights"] = _file_name(str(told["weights"]))
    return escaped(", ".join(f"{name} = {value}" for name, value in told.items())) or "-"


def _file_name(path: str) -> str:
    """What a file is called, without where it lies.

    >>> _file_name("/data/x.keras"), _file_name("C:/data/x.h5"), _file_name("imagenet")
    ('x.keras', 'x.h5', 'imagenet')
    """
    return PurePosixPath(PureWindowsPath(path).name).name


def _cut(cut: float, unit: str) -> str:
    return f"{cut:.4g} {escaped(unit)}".strip()


def _between(low: float, high: float) -> str:
    """Two numbers as a range, or one where they read the same."""
    ends = dict.fromkeys((f"{low:.3g}", f"{high:.3g}"))
    return " to ".join(ends)


def _inputs(facts: ModelFacts) -> Iterator[str]:
    """What it is shown."""
    request, (low, high) = facts.request, facts.voxel_mm
    pairs = zip(request.sequences, request.methods, strict=True)
    sequences = ", ".join(f"{escaped(name)} ({method})" for name, method in pairs)
    yield f"Sequences, in channel order, and how each is normalised: {sequences}"
    grid = (
        f"the image's own, {_between(low, high)} mm in the plane in training"
        if request.spacing_mm is None
        else f"resampled to {request.spacing_mm:g} mm"
    )
    edge = 2 * request.radius + 1
    yield f"Patches: axial, {edge} x {edge} voxels (radius {request.radius}), voxels {grid}"
    apart = "" if request.slice_mm is None else f", {request.slice_mm:g} mm apart"
    yield f"Slices: {request.slices}{apart}"
    if request.resample_to is not None:
        yield f"Where grids differ, images are resampled to that of {escaped(request.resample_to)}"
    needed = listed([escaped(name) for name in facts.needed]) or "none"
    others = MISSING.get(facts.missing, escaped(facts.missing))
    yield f"Needed, or nothing is said of a place: {needed}; of other sequences, {others}"
