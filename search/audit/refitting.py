"""Whether training is touched by what it must not see: a fold is fitted again with that corrupted.

It runs in the process that trains, from images on disk, so that every step between is part of it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.arrays import IntArray
from data_prep.folds import write_folds
from data_prep.problems import InputError
from search.audit.corruption import corrupted_copy
from search.audit.record import LEAK, NOT_APPLICABLE, NOT_CHECKED, PASSED, Check
from search.audit.subject import Subject
from search.child_process import Child
from search.composing import setup_of
from search.errors import TrialFailedError
from search.home import Home
from search.material import Material, prepare
from search.placement import place
from search.records import FoldResult
from search.refits.fit import Fit
from search.study_file import Study

IMAGES, LABELS, AUGMENTATION = "scoring images", "scoring labels", "augmentation"
EPOCHS = 2  # of a network: what reaches training does so in the first; a judgement
ARTEFACTS = ("curves", "best_epoch", "threshold", "label_threshold", "parameters", "trainable_parameters")


@dataclass(frozen=True)
class Refits:
    """The first fold of a trial, fitted in several ways; None where that was not possible.

    Attributes:
        trial: Its number.
        architecture: Of the trial.
        plain: As it is.
        relabelled: With the expression of the held-out biopsies exchanged among them.
        corrupted: With the images of some held-out participants replaced by noise.
        kept: Places of the other held-out biopsies.
        flipped: How many held-out labels the exchange changed.
        augmented: Whether training varied the images.
        shortened: How many epochs it trained, where that is fewer than the trial had.
    """

    trial: int
    architecture: str
    plain: FoldResult
    relabelled: FoldResult
    corrupted: FoldResult
    kept: tuple[int, ...]
    flipped: int
    augmented: bool
    shortened: int | None


def check_training(subject: Subject) -> list[Check]:
    """Nothing that training makes may depend on images or labels of the scoring fold."""
    if subject.refitted is None:
        text = "No trial is complete yet, so that none could be fitted again."
        return [Check(name, NOT_CHECKED, text) for name in (IMAGES, LABELS, AUGMENTATION)]
    try:
        refits = refit(subject)
    except (TrialFailedError, InputError) as error:
        problem = error.problems[0] if isinstance(error, InputError) else str(error)
        text = f"A fold of the selected trial could not be fitted again: {problem}"
        return [Check(name, NOT_CHECKED, text) for name in (IMAGES, LABELS, AUGMENTATION)]
    return judge(refits)


def judge(refits: Refits) -> list[Check]:
    """What the refits say."""
    told: dict[str, object] = {
        "trial": refits.trial,
        "architecture": refits.architecture,
        "split": refits.plain.split,
        "epochs_at_most": refits.shortened,
    }
    everyone = range(len(refits.plain.rows))
    by_images = differences(refits.plain, refits.corrupted, refits.kept)
    by_labels = differences(refits.plain, refits.relabelled, everyone)
    fold = f"In fold {refits.plain.fold} of trial {refits.trial} ({refits.architecture})"
    noisy = len(refits.plain.rows) - len(refits.kept)
    images = _verdict(
        IMAGES,
        by_images,
        f"{fold}, noise in place of the images of {noisy} biopsies held out",
        {**told, "noisy_biopsies": noisy, "compared_probabilities": len(refits.kept)},
        untested(refits),
    )
    labels = _verdict(
        LABELS,
        by_labels,
        f"{fold}, exchanging the expression of the biopsies held out ({refits.flipped} labels changed)",
        {**told, "flipped_labels": refits.flipped},
        None if refits.flipped else "the biopsies held out are all of one label, so that none changed",
    )
    return [images, labels, _augmentation(refits, by_images)]


def untested(refits: Refits) -> str | None:
    """Why noise in held-out images shows nothing of how training treats them; None where it does."""
    noisy = sorted(set(range(len(refits.plain.rows))) - set(refits.kept))
    if all(refits.plain.probabilities[place] == refits.corrupted.probabilities[place] for place in noisy):
        return "not even the predictions for the noisy biopsies changed: the model reads no images"
    if not refits.kept and not refits.plain.curves:
        return "no other biopsy is held out with them and no curve was recorded, so that nothing is compared"
    return None


def differences(one: FoldResult, other: FoldResult, places: Sequence[int]) -> list[str]:
    """What training made differently, to the last bit; labels and the images that were corrupted aside."""
    found = [name for name in ARTEFACTS if getattr(one, name) != getattr(other, name)]
    if any(one.probabilities[place] != other.probabilities[place] for place in places):
        found.append("probabilities")
    return found


def _verdict(
    name: str, found: list[str], what: str, figures: dict[str, object], untested: str | None
) -> Check:
    figures = {**figures, "differ": found}
    if found:
        listed = ", ".join(each.replace("_", " ") for each in found)
        text = f"{what} changed what training made ({listed}): training looks at the scoring fold."
        return Check(name, LEAK, text, figures=figures)
    if untested is not None:
        return Check(name, NOT_CHECKED, f"{what} tells nothing: {untested}.", figures=figures)
    return Check(
        name, PASSED, f"{what} left all that training made as it was, to the last bit.", figures=figures
    )


def _augmentation(refits: Refits, by_images: list[str]) -> Check:
    if not refits.augmented:
        text = "The selected trial varies no images while it trains."
        return Check(AUGMENTATION, NOT_APPLICABLE, text)
    if by_images:
        text = "Training depends on images held out, perhaps by way of augmented copies of them."
        return Check(AUGMENTATION, LEAK, text)
    reason = untested(refits)
    if reason is not None:
        return Check(AUGMENTATION, NOT_CHECKED, f"Noise in images held out tells nothing: {reason}.")
    text = "Augmented copies are drawn from training biopsies alone: noise in the others changed no weight."
    return Check(AUGMENTATION, PASSED, text)


def refit(subject: Subject) -> Refits:
    """Fit the first fold three times.

    Raises:
        TrialFailedError: A fit did not finish.
        InputError: The copy of the cohort cannot be read.
    """
    number, config = subject.refitted or (0, None)
    if config is None:
        raise TrialFailedError("failed", "there is no trial to fit")
    material, study = subject.material, _shortened(subject.study, str(config.settings["architecture"]))
    split = subject.splits[0]
    noisy = _noisy_rows(material, split.test)
    order = exchanged(material.labels.label, split.test)
    with (
        tempfile.TemporaryDirectory(prefix="radsearch-audit-") as name,
        _child(study, subject.home, material, name) as run,
    ):
        plain = run.run_fit(Fit.of(config, split).as_json())
        relabelled = run.run_fit(Fit.of(config, split, order).as_json())
        other_study, other_home, other = _corrupted(study, material, noisy, Path(name))
        with _child(other_study, other_home, other, name) as run_other:
            corrupted = run_other.run_fit(Fit.of(config, split).as_json())
    shortened = study.training.epochs if study is not subject.study else None
    return Refits(
        trial=number,
        architecture=str(config.settings["architecture"]),
        plain=plain,
        relabelled=relabelled,
        corrupted=corrupted,
        kept=tuple(place for place, row in enumerate(plain.rows) if row not in noisy),
        flipped=int((material.labels.label[list(order)] != material.labels.label).sum()),
        augmented=bool(plain.curves) and (material.second is not None or any(_varies(config.settings))),
        shortened=shortened,
    )


def exchanged(label: IntArray, rows: IntArray) -> tuple[int, ...]:
    """The row whose expression each row is given: within `rows`, positives change places with negatives."""
    order = np.arange(len(label))
    ascending = rows[np.argsort(label[rows], kind="stable")]
    order[ascending] = ascending[::-1]
    return tuple(order.tolist())


def _noisy_rows(material: Material, test: IntArray) -> set[int]:
    """The held-out biopsies of every second participant, of the only one if there is one."""
    people = list(dict.fromkeys(material.patches.participant_id[row] for row in test))
    noisy = set(people[::2])
    return {int(row) for row in test if material.patches.participant_id[row] in noisy}


def _corrupted(
    study: Study, material: Material, noisy: set[int], folder: Path
) -> tuple[Study, Home, Material]:
    """The study on a copy of its cohort, in a home of its own."""
    ids = {material.patches.biopsy_id[row] for row in noisy}
    cohort = corrupted_copy(material.source, folder / "cohort", ids, seed=0)
    other, home = study.model_copy(update={"cohort": str(cohort)}), Home(folder / "home")
    write_folds(material.folds, home.study(study.name).folds)
    return other, home, prepare(other, home, frozen=True)


def _shortened(study: Study, architecture: str) -> Study:
    """The study with as few epochs as show whether training is touched."""
    if "network" not in study.catalogue.traits(architecture) or study.training.epochs <= EPOCHS:
        return study
    return study.model_copy(update={"training": study.training.model_copy(update={"epochs": EPOCHS})})


def _varies(settings: object) -> Iterator[bool]:
    names = ("flip", "rotation", "jitter", "intensity_scale", "intensity_shift", "channel_dropout")
    table = settings if isinstance(settings, dict) else {}
    yield from (table.get(name) not in (None, False, "none", 0, 0.0) for name in names)


@contextmanager
def _child(study: Study, home: Home, material: Material, folder: str) -> Iterator[Child]:
    """A process that trains on the CPU, where sums come out the same every time."""
    where = place(1, "")[0]
    log = Path(folder) / "child.log"
    with closing(Child(setup_of(study, home, material), where, log, threading.Event())) as child:
        yield child
