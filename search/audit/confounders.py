"""Models that see nothing of the tissue: what they can predict, images need not explain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from data_prep.arrays import DoubleArray, IntArray
from data_prep.features import load_features
from data_prep.problems import InputError, Problems
from data_prep.records import Cohort
from data_prep.tables import MISSING, read_table
from models.shallow import fit_baseline
from models.spec import BaselineSpec
from search.audit.record import NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS, Check
from search.audit.subject import Subject, outputs_of
from search.metrics import Scores, fold_metrics
from search.statistics.comparison import corrected_t
from search.statistics.performance import Measured, performance
from search.statistics.predictions import Outputs

NAMES = {
    "location": "where in the brain a biopsy lies",
    "missingness": "which sequences a participant has",
    "scanner": "which scanner a participant was seen by",
}
PEOPLE, SCANNER = "participants.tsv", "scanner"
TOO_NARROW = 1.4  # by which clustered intervals of cross-validated AUCs are (SCIENCE of the project, E6)
SHARE = 0.5  # of the winner's lead over chance from which a confounder can explain it; a judgement
SPEC = BaselineSpec("logistic")


def check_confounders(subject: Subject) -> list[Check]:
    """Each confounder's grouped AUC, on the study's own folds, beside that of what was selected."""
    return [check_one(subject, name) for name in NAMES]


def check_one(subject: Subject, name: str) -> Check:
    """Whether one confounder alone predicts the label, or does as well as the images."""
    try:
        features = features_of(subject, name)
    except InputError as error:
        return Check(name, NOT_CHECKED, f"Not known: {error.problems[0]}")
    if features is None:
        text = "The cohort has no column 'scanner' in its biopsy table or in participants.tsv."
        return Check(name, NOT_APPLICABLE, text)
    if not np.any(np.nanmax(features, axis=0) > np.nanmin(features, axis=0)):
        return Check(name, NOT_APPLICABLE, f"It is the same for all: {NAMES[name]}.")
    outputs = grouped(subject, lambda train, labels: fitted(features, train, labels, subject))
    return judge(name, widened(performance(outputs, None)["roc_auc"]), *_winner(subject, outputs))


def judge(name: str, auc: Measured, winner: float | None, alike: bool | None) -> Check:
    """The verdict.

    Args:
        name: A name of `NAMES`.
        auc: The confounder's.
        winner: The AUC of what was selected.
        alike: Whether the two cannot be told apart; None where that is not known or not asked.
    """
    figures = {
        "roc_auc": auc.value,
        "ci95": [auc.low, auc.high],
        "winner_roc_auc": winner,
        "indistinguishable_from_winner": alike,
    }
    if auc.value is None or auc.low is None or auc.high is None:
        return Check(name, NOT_CHECKED, "Its AUC is undefined.", figures=figures)
    told = f"{NAMES[name]} predicts the label with AUC {auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f})"
    text = f"{told[0].upper()}{told[1:]}"
    if auc.low > 0.5:
        return Check(name, SUSPICIOUS, f"{text}, without any image: the result may be that.", figures=figures)
    if winner is not None and alike and auc.value - 0.5 > SHARE * (winner - 0.5):
        beside = f"{text}, which cannot be told from the {winner:.2f} of what was selected."
        return Check(name, SUSPICIOUS, beside, figures=figures)
    return Check(name, PASSED, f"{text}: no more than chance may do.", figures=figures)


def features_of(subject: Subject, name: str) -> DoubleArray | None:
    """What the model sees, shape (biopsies, features); None where the cohort does not tell."""
    material = subject.material
    if name == SCANNER:
        return one_hot(scanners(material.source, material.patches.biopsy_id))
    return load_features(name, material.source, material.patches, 1, subject.home.cache).values


def scanners(cohort: Cohort, biopsies: Sequence[str]) -> list[str] | None:
    """The scanner of each biopsy, from its table or participants.tsv; None where neither has the column."""
    rows = {biopsy.biopsy_id: biopsy for biopsy in cohort.biopsies}
    own = [rows[name].columns.get(SCANNER) for name in biopsies]
    if None not in own:
        return [str(name) for name in own]
    place = cohort.places.at(cohort.root / PEOPLE, PEOPLE)
    table = read_table(cohort.root / PEOPLE, Problems()) if place.usable else None
    if table is None or not {SCANNER, "participant_id"} <= set(table.columns):
        return None
    person, scanner = table.index("participant_id"), table.index(SCANNER)
    known = {row.cells[person]: row.cells[scanner] for row in table.rows}
    return [known.get(rows[name].participant_id, MISSING) for name in biopsies]


def one_hot(names: Sequence[str] | None) -> DoubleArray | None:
    """A column for each name, 1 where a row has it."""
    if names is None:
        return None
    kinds = sorted(set(names))
    return np.array([[float(name == kind) for kind in kinds] for name in names])


def grouped(subject: Subject, predict: Callable[[IntArray, IntArray], DoubleArray]) -> Outputs:
    """What models that are fitted to the training folds say of every biopsy, in the first table of the study.

    Args:
        subject: The study.
        predict: From training rows and the labels of all rows to probabilities of all rows.
    """
    label = np.zeros(len(subject.participants), dtype=np.int64)
    fold, probability = np.zeros_like(label), np.zeros(len(label))
    for split in subject.splits:
        if split.repeat:
            continue
        labels, _ = subject.material.labels.relabel(split.train)
        fold[split.test], label[split.test] = split.fold, labels[split.test]
        probability[split.test] = predict(split.train, labels)[split.test]
    return outputs_of(subject.material, label, fold, probability)


def fitted(features: DoubleArray, train: IntArray, labels: IntArray, subject: Subject) -> DoubleArray:
    """Probabilities of all rows by a logistic regression on the training rows."""
    participant = subject.material.participant[train]
    return fit_baseline(SPEC, features[train], labels[train], participant, 0).predict(features)


def widened(auc: Measured) -> Measured:
    """An AUC with its interval as wide as cross-validated predictions need it."""
    if auc.value is None or auc.low is None or auc.high is None:
        return auc
    low, high = (auc.value + TOO_NARROW * (end - auc.value) for end in (auc.low, auc.high))
    return Measured(auc.value, max(0.0, low), min(1.0, high))


def _winner(subject: Subject, outputs: Outputs) -> tuple[float | None, bool | None]:
    """AUC of what was selected; where that beats chance, whether a confounder can be told from it."""
    winner, measured = subject.winner, subject.winner_measured
    if winner is None or measured["roc_auc"].value is None:
        return None, None
    pairs = [(_auc(winner, fold), _auc(outputs, fold)) for fold in np.unique(outputs.fold[0])]
    gaps = [one - other for one, other in pairs if one is not None and other is not None]
    share = len(outputs.participant) / len(np.unique(outputs.fold[0]))
    above_chance = (widened(measured["roc_auc"]).low or 0.0) > 0.5
    if len(gaps) < 2 or not above_chance:
        return measured["roc_auc"].value, None
    compared = corrected_t(gaps, share / (len(outputs.participant) - share))
    return measured["roc_auc"].value, compared.indistinguishable


def _auc(outputs: Outputs, fold: int) -> float | None:
    rows = np.flatnonzero(outputs.fold[0] == fold)
    scores = Scores(outputs.label[0, rows], outputs.score[0, rows], outputs.participant[rows], 0.5)
    return fold_metrics(scores)["roc_auc"]
