"""What the models of a study said of sites that were scanned twice, first scan beside second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.folds import Split
from search.metrics import Doubles
from search.records import FoldResult
from search.refits.fit import Fit
from search.refits.ledger import FitLedger
from search.replay import FoldReplay
from search.retest.plan import Plan
from search.scenes import SECOND

Said = dict[str, float]
"""Probability of label 1 by site."""


@dataclass(frozen=True, eq=False)
class Paired:
    """n sites scored on both scans by c configurations, whose models never saw their participants.

    Attributes:
        site: Ids, n.
        participant: Whose each is, n.
        fold: Which fold held it out, shape (n,).
        first: Probability of label 1 by the first scan, shape (c, n).
        second: The same by the second.
        threshold: Of the models that held it out, shape (c, n).
    """

    site: tuple[str, ...]
    participant: tuple[str, ...]
    fold: tuple[int, ...]
    first: Doubles
    second: Doubles
    threshold: Doubles

    def __len__(self) -> int:
        return len(self.site)

    @property
    def probabilities(self) -> tuple[Doubles, Doubles]:
        """What all configurations say together: their mean, shape (n,), by the first scan and the second."""
        return self.first.mean(axis=0), self.second.mean(axis=0)

    @property
    def margins(self) -> tuple[Doubles, Doubles]:
        """By how much the probability is above the threshold on average: above 0 they say 1 together."""
        cut = self.threshold
        return (self.first - cut).mean(axis=0), (self.second - cut).mean(axis=0)


def biopsies_of(plan: Plan, ledger: FitLedger) -> Paired:
    """The biopsies that were scanned twice."""
    who = plan.material.patches

    def first(fit: Fit, result: FoldResult) -> Said:
        test = len(fit.test)
        return {who.biopsy_id[row]: p for row, p in zip(fit.test, result.probabilities[:test], strict=True)}

    return _paired(plan, ledger, first, lambda fit, result: _scene(plan, SECOND, fit, result))


def maps_of(plan: Plan, ledger: FitLedger) -> Paired | None:
    """The sites of the lattice; None where no map was asked for."""
    if plan.maps is None:
        return None
    one, other = plan.maps
    return _paired(
        plan,
        ledger,
        lambda fit, result: _scene(plan, one, fit, result),
        lambda fit, result: _scene(plan, other, fit, result),
    )


def remarks_of(plan: Plan, ledger: FitLedger) -> list[str]:
    """What is to be said of the fits: models that could not be fitted, folds that came out otherwise."""
    lines: dict[str, None] = {}
    for trial, config, booked in zip(plan.trials, plan.configs, plan.booked, strict=True):
        for split in plan.splits:
            fit = plan.fit(config, split)
            if why := ledger.failure(fit):
                lines[f"trial {trial}: a model could not be fitted: {why}"] = None
            result, before = ledger.result(fit), booked.get(split.index)
            if result is None or before is None:
                continue
            if FoldReplay(before, result).differences(0.0):
                lines[
                    f"trial {trial}: fold {split.index} did not come out to the last bit as in the search, "
                    f"which ran it on {before.device}; now it was {result.device}"
                ] = None
    return list(lines)


def _scene(plan: Plan, name: str, fit: Fit, result: FoldResult) -> Said:
    """What a fold's model said of a scene's sites of the participants held out."""
    told = result.scenes.get(name)
    if told is None:
        return {}
    ids, rows = plan.scenes.whole(name).patches.biopsy_id, plan.scenes.rows(name, fit)
    return {ids[row]: p for row, p in zip(rows, told["probabilities"], strict=True)}


def _paired(
    plan: Plan,
    ledger: FitLedger,
    first: Callable[[Fit, FoldResult], Said],
    second: Callable[[Fit, FoldResult], Said],
) -> Paired:
    """The sites that every configuration scored on both scans, fold by fold."""
    whose = _owners(plan)
    sites: list[str] = []
    folds: list[int] = []
    values: list[Doubles] = []
    for split, results in _results(plan, ledger):
        said = [(first(fit, result), second(fit, result)) for fit, result in results]
        both = [site for site in said[0][0] if all(site in one and site in other for one, other in said)]
        if not both:
            continue
        told = [
            [[one[s] for s in both], [other[s] for s in both], [result.threshold] * len(both)]
            for (one, other), (_, result) in zip(said, results, strict=True)
        ]
        sites += both
        folds += [split.fold] * len(both)
        values.append(np.array(told, dtype=np.float64))
    found = np.concatenate(values, axis=2) if values else np.empty((len(plan.configs), 3, 0))
    people = tuple(whose[site] for site in sites)
    return Paired(tuple(sites), people, tuple(folds), found[:, 0], found[:, 1], found[:, 2])


def _results(plan: Plan, ledger: FitLedger) -> Iterator[tuple[Split, list[tuple[Fit, FoldResult]]]]:
    """The folds that every configuration could be fitted on."""
    for split in plan.splits:
        fits = [plan.fit(config, split) for config in plan.configs]
        results = [(fit, result) for fit in fits if (result := ledger.result(fit)) is not None]
        if len(results) == len(fits):
            yield split, results


def _owners(plan: Plan) -> dict[str, str]:
    """The participant of each site."""
    sets = [plan.material.patches, *(plan.scenes.whole(name).patches for name in plan.names)]
    return {
        site: one
        for patches in sets
        for site, one in zip(patches.biopsy_id, patches.participant_id, strict=True)
    }
