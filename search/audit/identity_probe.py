"""Whether labels say more than who the participant is, and how well images tell who that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from data_prep.arrays import DoubleArray, IntArray
from data_prep.features import load_features
from models.shallow import fit_baseline
from models.spec import BaselineSpec
from search.audit.record import LEAK, NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS, Check
from search.audit.subject import Subject
from search.metrics import Scores, pooled_metrics

LABELS, PROBE, WITHIN = "participant labels", "participant probe", "within participants"
RADIUS = 5  # voxels of the disc whose mean is taken: the best on the phantoms (SCIENCE, section 4)
LEARNER = BaselineSpec("forest", forest_trees=100)
DRAWS = 3  # random splits that are averaged
ICC_ALONE = 0.9  # share of the label that is the participant's: nothing else is left; a judgement
ICC_MUCH = 0.5  # 0.17 to 0.42 is usual (SCIENCE of the project); where above that it is too much, a judgement
BY_CHANCE = 0.001  # a judgement
RECOGNISES = (
    0.75,
    0.20,
)  # random-split AUC (without signal up to 0.69), how far above the grouped; judgement
ASSERTED, POOLED = 0.55, 0.65  # within-participant and pooled AUC; a judgement


@dataclass(frozen=True, eq=False)
class Labelled:
    """Biopsies with what images and tables say of them.

    Attributes:
        features: Mean intensities, shape (biopsies, sequences).
        label: 0 or 1, shape (biopsies,).
        participant: A number a participant, shape (biopsies,).
        fold: Which fold of the first table holds each out, shape (biopsies,).
    """

    features: DoubleArray
    label: IntArray
    participant: IntArray
    fold: IntArray


def labelled(subject: Subject) -> Labelled:
    """The biopsies of a study with the cohort's labels."""
    material = subject.material
    radius = min(RADIUS, material.patches.radius)
    table = load_features("roi_means", material.source, material.patches, radius, subject.home.cache)
    return Labelled(table.values, material.labels.label, material.participant, material.folds.fold[0])


def check_labels(data: Labelled, name: str = LABELS) -> Check:
    """Whether the labels depend on the participant alone.

    A learner that recognises participants scores high where these are shared by training and scoring, and at
    chance where they are not.
    """
    counts = np.bincount(data.participant)
    if (counts < 2).all():
        return Check(name, NOT_APPLICABLE, "No participant has two biopsies.")
    icc, chance = intraclass(data.label, data.participant), chance_of_pure(data.label, data.participant)
    mixed = mixed_participants(data.label, data.participant)
    grouped, shared = auc_by_fold(data, [data.fold]), auc_by_fold(data, _random_folds(data))
    figures = {
        "label_icc": _rounded(icc),
        "participants_with_both_labels": mixed,
        "participants_with_two_biopsies": int((counts > 1).sum()),
        "chance_of_no_mixed_participant": float(f"{chance:.2g}"),
        "grouped_auc": _rounded(grouped),
        "random_split_auc": _rounded(shared),
    }
    splits = f"(a forest: AUC {_told(grouped)} with participants held out, {_told(shared)} with them shared)"
    if chance < BY_CHANCE and (mixed == 0 or (icc is not None and icc >= ICC_ALONE)):
        text = f"The labels depend on the participant alone: a map of one would be of one colour {splits}."
        return Check(name, LEAK, text, figures=figures)
    high, gap = RECOGNISES
    if grouped is not None and shared is not None and shared >= high and shared - grouped >= gap:
        text = f"The labels can be read off who the participant is, but hardly off the tissue {splits}."
        return Check(name, SUSPICIOUS, text, figures=figures)
    share = f"the participant's share in the labels (ICC) is {_told(icc)}"
    if icc is not None and icc >= ICC_MUCH:
        text = (
            f"{share[0].upper()}{share[1:]}, where .17 to .42 is usual: little of the label is the tissue's "
            f"own {splits}."
        )
        return Check(name, SUSPICIOUS, text, figures=figures)
    text = f"{mixed} participants have biopsies of both labels; {share} {splits}."
    return Check(name, PASSED, text, figures=figures)


def check_probe(data: Labelled) -> Check:
    """How often the biopsy with the most similar intensities is of the same participant; it is no fault."""
    found = nearest_is_same(data.features, data.participant)
    if found is None:
        return Check(PROBE, NOT_APPLICABLE, "No participant has two biopsies.")
    rate, chance = found
    figures = {"same_participant": round(rate, 4), "by_chance": round(chance, 4)}
    text = (
        f"The nearest biopsy by mean intensities is of the same participant in {rate:.0%} "
        f"(by chance {chance:.0%}): images tell who is who, which is why no participant is ever split."
    )
    return Check(PROBE, PASSED, text, figures=figures)


def check_within(subject: Subject) -> Check:
    """Whether what was selected ranks the biopsies of one participant, which is what a map asserts."""
    measured = subject.winner_measured
    pooled = measured["roc_auc"].value if measured else None
    within = measured["within_participant_auc"] if measured else None
    if pooled is None or within is None or within.value is None:
        text = "No trial is complete, or no participant has biopsies of both labels."
        return Check(WITHIN, NOT_CHECKED, text)
    figures = {
        "roc_auc": pooled,
        "within_participant_auc": within.value,
        "within_participant_ci95": [within.low, within.high],
    }
    text = f"AUC {pooled:.2f} over all biopsies of a fold, {within.value:.2f} within participants"
    if pooled >= POOLED and within.value <= ASSERTED:
        beside = (
            f"{text}: it tells participants apart, not sites; a map of one participant could assert nothing."
        )
        return Check(WITHIN, SUSPICIOUS, beside, figures=figures)
    return Check(WITHIN, PASSED, f"{text}.", figures=figures)


def intraclass(label: IntArray, participant: IntArray) -> float | None:
    """The share of the labels' variance that is the participants'; None where it is undefined.

    One-way analysis of variance with groups of different sizes: ICC(1) of Shrout and Fleiss 1979.
    """
    counts = np.bincount(participant).astype(np.float64)
    people, n = len(counts), len(label)
    if people < 2 or n <= people:
        return None
    means = np.bincount(participant, label) / counts
    between = float(counts @ (means - label.mean()) ** 2) / (people - 1)
    inside = float(((label - means[participant]) ** 2).sum()) / (n - people)
    size = (n - float(counts @ counts) / n) / (people - 1)
    total = between + (size - 1) * inside
    return (between - inside) / total if total else None


def chance_of_pure(label: IntArray, participant: IntArray) -> float:
    """Probability that no participant would have both labels, were they dealt out by prevalence alone."""
    counts, share = np.bincount(participant), float(label.mean())
    return float(np.prod(share**counts + (1 - share) ** counts))


def mixed_participants(label: IntArray, participant: IntArray) -> int:
    """How many participants have biopsies of both labels."""
    counts, positive = np.bincount(participant), np.bincount(participant, label)
    return int(((positive > 0) & (positive < counts)).sum())


def auc_by_fold(data: Labelled, folds: Sequence[IntArray]) -> float | None:
    """Within-fold AUC of the learner over assignments of biopsies to folds, each shape (biopsies,)."""
    scores = [_held_out(data, fold == held) for fold in folds for held in np.unique(fold)]
    return pooled_metrics(scores)["roc_auc"]


def _held_out(data: Labelled, test: np.typing.NDArray[np.bool_]) -> Scores:
    train = ~test
    with threadpool_limits(1):
        model = fit_baseline(LEARNER, data.features[train], data.label[train], data.participant[train], 0)
    return Scores(data.label[test], model.predict(data.features[test]), data.participant[test], 0.5)


def _random_folds(data: Labelled) -> list[IntArray]:
    """Assignments that take no notice of participants, folds of equal size."""
    folds = len(np.unique(data.fold))
    dealt = np.arange(len(data.label), dtype=np.int64) % folds
    return [np.random.default_rng(draw).permutation(dealt) for draw in range(DRAWS)]


def nearest_is_same(features: DoubleArray, participant: IntArray) -> tuple[float, float] | None:
    """How often the nearest other biopsy is of the same participant, and how often a random one would be.

    Over biopsies whose participant has another; None without any. Absent sequences are at the mean.
    """
    counts = np.bincount(participant)
    asked = counts[participant] > 1
    if not asked.any():
        return None
    mean, spread = np.nanmean(features, axis=0), np.nanstd(features, axis=0)
    unit = np.nan_to_num((features - mean) / np.where(spread > 0, spread, 1.0))
    distance = ((unit[:, None] - unit) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    same = participant[distance.argmin(axis=1)] == participant
    by_chance = (counts[participant] - 1) / (len(participant) - 1)
    return float(same[asked].mean()), float(by_chance[asked].mean())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _told(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
