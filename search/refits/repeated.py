"""Folds that a search has fitted before, fitted again: whether they come out as they did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data_prep.problems import Problems
from search.records import FoldResult
from search.refits.fit import Fit
from search.refits.ledger import FitLedger
from search.replay import FoldReplay
from search.study_file import Study
from search.versions import software_versions


@dataclass(frozen=True)
class Repeated:
    """A fold of a trial that is fitted again.

    Attributes:
        trial: The number of the trial.
        booked: What the search booked of the fold.
        fit: The fit that repeats it.
        versions: The software that ran the trial, by package; None where that was not recorded.
    """

    trial: int
    booked: FoldResult
    fit: Fit
    versions: Mapping[str, str] | None

    @property
    def is_other_software(self) -> bool:
        """Whether another version of something is known to be at work now."""
        return self.versions is not None and self.versions != software_versions()


def compare_repeated(
    repeated: Iterable[Repeated], ledger: FitLedger, study: Study, advice: str, other_software: bool = False
) -> list[str]:
    """Compare what the search has fitted before with what it booked then, to the last bit.

    Where a fold ran on another device or with other threads, last bits may differ, and a network's training
    carries them on: that is told and no error.

    Args:
        repeated: The folds.
        ledger: Has what they gave now.
        study: The study's settings.
        advice: What to do where results must be the same and are not.
        other_software: Whether other software may give other results too.

    Returns:
        A line for each trial that was fitted elsewhere and came out otherwise.

    Raises:
        InputError: Another result on the same device; the software is another, unless that may be.
    """
    problems, remarks = Problems(), dict[int, str]()
    for one in repeated:
        again = ledger.result(one.fit)
        found = _differences(one.booked, again, ledger.failure(one.fit))
        if not found:
            continue
        where = f"trial {one.trial}: fold {one.booked.split}"
        if again is not None and _may_differ(one.booked, again, study):
            ran = f"ran on {one.booked.device}, and now on {again.device}"
            remarks.setdefault(one.trial, f"{where} {ran}, and differs: {found}")
        elif again is not None and other_software and one.is_other_software:
            remarks.setdefault(one.trial, f"{where} differs: {found}{_software(one.versions)}")
        else:
            law = f"the search's own fold must come out again, but {found}{_software(one.versions)}"
            problems.add(where, f"{law}. {advice}")
    problems.raise_any()
    return list(remarks.values())


def _differences(booked: FoldResult, again: FoldResult | None, failure: str | None) -> str:
    """What differs, in words; empty where nothing does."""
    if again is None:
        return f"it failed: {failure}"
    found = FoldReplay(booked, again).differences(0.0)
    if booked.threshold != again.threshold:
        found.append(f"the threshold was {booked.threshold}, is {again.threshold}")
    return "; ".join(found)


def _may_differ(booked: FoldResult, again: FoldResult, study: Study) -> bool:
    """Whether last bits may differ: elsewhere, and on a GPU unless it was told to be deterministic."""
    is_cpu = again.device.startswith("CPU")
    return booked.device != again.device or not (is_cpu or study.training.deterministic)


def _software(then: Mapping[str, str] | None) -> str:
    """The packages that have another version than when the trial ran, in words."""
    now = software_versions()
    if then is None:
        return "; which software ran it was not recorded"
    changed = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    told = [f"{name} was {then.get(name, 'absent')}, is {now.get(name, 'absent')}" for name in changed]
    return "; " + "; ".join(told) if told else "; the software has the same versions"
