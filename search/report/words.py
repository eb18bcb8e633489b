"""The paragraph that opens the report: what was found, how sure that is, what would tell more.

Every sentence follows from a rule on numbers; nothing is said that another section does not show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from search.audit import SUSPICIOUS_AUC
from search.report.phrases import Range, article, counted, decimal, digits_of, interval, listed, named
from search.report.sample_size import HALF_WIDTH, POWER, WORTHWHILE, for_half_width, for_power
from search.verdict import ABOVE

FEW = 10  # configurations below which more search would still pay: gains end near that many
LEVEL = 0.05  # at which a permutation test speaks for a signal
CHANCE = 0.5
SHARES = ("accuracy", "f1")  # of which a width of the interval means as much as of an AUC


@dataclass(frozen=True)
class Findings:
    """What the paragraph is written from.

    Attributes:
        target: What is predicted, such as "CD3D above 1.03".
        metric: By which trials were compared.
        biopsies: How many are trained and scored on.
        participants: Of how many they are.
        handed_out: Trials that were started.
        configurations: Those of them that completed.
        distinct: How many of these differ in what they predict.
        selected: What was selected, in words; None where nothing could be.
        estimate: The honest estimate; None where there is none.
        reason: Why there is none.
        naive: The best trial's own value.
        claim: Whether chance is excluded at the one-sided 5 % level; None where that was not tested.
        chance: What the best constant answer reaches: 0.5 for an AUC.
        tuned: Tuned minus default; None where the default did not complete.
        is_default: Whether the untuned default is what was selected.
        pairs: Pairs of a positive and a negative biopsy of one participant.
        within: AUC over these pairs, on the data that selected the model.
        within_honest: The same by the bootstrap that selects as the study does; None where there is none.
        within_claim: Whether that excludes chance, as `claim` does.
        p_global: Of the permutation test that shuffles between participants too; None where none was run that
            could have rejected.
        p_within: Of the one that shuffles within participants alone, likewise.
        leaks: Names of the audit's checks that found something; None where no audit was run.
    """

    target: str
    metric: str
    biopsies: int
    participants: int
    handed_out: int
    configurations: int
    distinct: int
    selected: str | None = None
    estimate: Range | None = None
    reason: str | None = None
    naive: float | None = None
    claim: bool | None = None
    chance: float | None = None
    tuned: Range | None = None
    is_default: bool = False
    pairs: int = 0
    within: Range | None = None
    within_honest: Range | None = None
    within_claim: bool | None = None
    p_global: float | None = None
    p_within: float | None = None
    leaks: tuple[str, ...] | None = None

    @property
    def is_auc(self) -> bool:
        """Whether the metric is a share of pairs, with 0.5 for chance."""
        return self.metric.endswith("auc")

    @property
    def disagree(self) -> bool:
        """Whether the bootstrap and the permutation of the whole search come to different ends."""
        known = self.claim is not None and self.p_global is not None
        return known and self.claim != _rejects(self.p_global)

    @property
    def digits(self) -> int:
        """Decimals in which the metric is told."""
        return digits_of(self.metric)


def paragraph(findings: Findings) -> str:
    """The opening paragraph, in plain sentences."""
    return " ".join(sentences(findings))


def sentences(findings: Findings) -> Iterator[str]:
    """Its sentences: what was done, found, how sure, and what would tell more."""
    yield from _opening(findings)
    yield _done(findings)
    if not findings.configurations:
        yield "No trial is complete, so nothing can be said yet."
        return
    if findings.estimate is None or findings.estimate.value is None:
        yield f"An honest estimate could not be made: {findings.reason or 'no reason was recorded'}."
        return
    yield from _found(findings)
    yield from _doubts(findings)
    yield _tuning(findings)
    yield _within(findings)
    yield from _permuted(findings)
    yield from _needed(findings)


def headline(findings: Findings) -> str:
    """The verdict in a few words, for titles and notes."""
    if findings.estimate is None or findings.estimate.value is None:
        return "No estimate yet"
    if _is_suspect(findings):
        return "A leak is suspected"
    if findings.claim is None:
        return "Estimated, not tested"
    if findings.disagree:
        return "Two tests of the signal disagree"
    return "Better than chance" if findings.claim else "No signal found"


def _rejects(p: float | None) -> bool:
    """Whether a permutation test was run and speaks for a signal."""
    return p is not None and p <= LEVEL


def _opening(findings: Findings) -> Iterator[str]:
    """What must be read before anything else."""
    if findings.leaks:
        reached = "A figure above chance was reached, but the" if findings.claim else "The"
        yield (
            f"{reached} leakage audit objects ({listed(findings.leaks)}): until that is explained, no figure "
            "of this study must be believed."
        )
    elif findings.disagree:
        repeated = "the whole search repeated on shuffled labels"
        yield "Two tests of the signal disagree: the bootstrap of participants " + (
            f"excludes chance, but {repeated} does as well too often (p = {findings.p_global:.3g})."
            if findings.claim
            else f"cannot exclude chance, but {repeated} rarely does as well (p = {findings.p_global:.3g})."
        )


def _done(findings: Findings) -> str:
    lost = findings.handed_out - findings.configurations
    aside = f", of which {lost} did not complete," if lost > 0 and findings.configurations else ""
    return (
        f"{counted(findings.handed_out, 'trial')}{aside} tried to predict {findings.target} from the images "
        f"around {counted(findings.biopsies, 'biopsy')} of {counted(findings.participants, 'participant')}, "
        "each scored on participants that it had not been fitted on."
    )


def _found(findings: Findings) -> Iterator[str]:
    """What is to be expected of a new participant, and whether that is a signal."""
    if findings.estimate is None or findings.estimate.value is None:
        return
    name, found = named(findings.metric), interval(findings.estimate, findings.digits)
    chance = "chance" if findings.chance is None else f"chance ({decimal(findings.chance, findings.digits)})"
    what = f"what was selected ({findings.selected})" if findings.selected else "what was selected"
    expected = f"or biopsies of a new participant, {what} is expected to reach {article(name)} of {found}"
    corrected = "corrected for the search" if findings.distinct > 1 else "by the bootstrap of participants"
    if findings.leaks:
        yield f"F{expected}, {corrected} but not for the leak."
    elif findings.disagree:
        yield f"F{expected}, {corrected}; while the two tests disagree, no signal is shown."
    elif findings.claim is None:
        yield f"F{expected}, {corrected}."
    elif findings.claim:
        yield (
            f"A signal was found: f{expected}, {corrected}; {chance} is excluded at the one-sided 5 % level."
        )
    else:
        yield f"No signal was found: f{expected}, {corrected}, and {chance} cannot be excluded."
    if findings.is_auc and not findings.claim:
        yield f"{ABOVE[0].upper()}{ABOVE[1:]}."
    yield from _open_question(findings, findings.estimate.high)
    yield from _winners_curse(findings, findings.estimate.value)


def _open_question(findings: Findings, high: float | None) -> Iterator[str]:
    """That no evidence of a signal is no evidence of none."""
    unshown = findings.claim is False and not findings.disagree and not findings.leaks
    if unshown and findings.is_auc and high is not None and high > CHANCE:
        yield (
            f"This does not show that there is none: a true {named(findings.metric)} of "
            f"{decimal(high, findings.digits)} would fit these data as well."
        )


def _winners_curse(findings: Findings, estimate: float) -> Iterator[str]:
    """What the best trial seems to be worth; of one trial nothing was picked."""
    if findings.naive is None or findings.distinct < 2:
        return
    digits = findings.digits
    gap = abs(round(findings.naive, digits) - round(estimate, digits))
    yield (
        f"The best trial on its own reads {decimal(findings.naive, digits)}, {decimal(gap, digits)} away "
        "from the estimate; it was picked by the data that it is scored on and must not be quoted."
    )


def _is_suspect(findings: Findings) -> bool:
    return bool(findings.leaks) or (findings.leaks is None and _is_too_good(findings))


def _is_too_good(findings: Findings) -> bool:
    value = findings.estimate.value if findings.estimate else None
    return findings.is_auc and value is not None and value > SUSPICIOUS_AUC


def _doubts(findings: Findings) -> Iterator[str]:
    """What speaks against believing it, where no leak was found."""
    if not findings.leaks and _is_too_good(findings):
        audited = "has found no leak" if findings.leaks is not None else "has not been run"
        yield (
            f"So high {article(named(findings.metric))} (above {SUSPICIOUS_AUC:.2f}) is rare here and "
            f"more often a leak than a discovery; the leakage audit {audited}."
        )
    if findings.distinct < FEW:
        yield (
            f"Only {counted(findings.distinct, 'different configuration')} completed, fewer than the {FEW} "
            "or so beyond which more search stops paying: a better one may exist."
        )


def _tuning(findings: Findings) -> str:
    """What the search added to the untuned default."""
    tuned, digits = findings.tuned, findings.digits
    if findings.is_default:
        return "What was selected is the untuned default, so that tuning added nothing."
    if tuned is None or tuned.value is None:
        return (
            "What tuning added cannot be said, as the study's first trial, which stands for no tuning, did "
            "not complete."
        )
    changed = f"Tuning changed the untuned default by {decimal(tuned.value, digits, sign=True)}"
    if tuned.low is None or tuned.high is None:
        return f"{changed}, which is indistinguishable from nothing."
    low, high = (decimal(end, digits, sign=True) for end in (tuned.low, tuned.high))
    unknown = ", which is indistinguishable from nothing" if tuned.low <= 0 <= tuned.high else ""
    return f"{changed} ({low} to {high}){unknown}."


def _within(findings: Findings) -> str:
    """What is known inside one brain, which is what a map asserts.

    By the bootstrap that selects as the study does and scores pairs within participants, or by the
    permutation test; what the biopsies say that selected the model is no evidence.
    """
    if not findings.pairs or findings.within is None or findings.within.value is None:
        return (
            "No participant has biopsies of both classes, so nothing is known about differences inside one "
            "brain, which a map would assert."
        )
    honest = findings.within_honest
    text = (
        f"Inside one participant, which is what a map asserts, {counted(findings.pairs, 'pair')} of biopsies "
        "give an AUC of "
    )
    if honest is None or honest.value is None:
        text += f"{decimal(findings.within.value)} on the data that selected the model, which is no evidence"
    else:
        text += f"{interval(honest)}, by the same bootstrap"
    if findings.leaks:
        return f"{text}; a leak would show there too."
    return f"{text}{_inside(findings)}."


def _inside(findings: Findings) -> str:
    """Whether differences inside one brain are predicted, as the end of a sentence."""
    p = findings.p_within
    unshown = "differences inside one brain are not shown to be predicted"
    if _rejects(p) and not findings.within_claim:
        return (
            f"; by the permutation test within participants (p = {p:.3g}) differences inside one brain are "
            "predicted better than by chance"
        )
    if findings.within_claim and p is not None and not _rejects(p):
        return f"; the permutation test within participants does not agree (p = {p:.3g}): {unshown}"
    if findings.within_claim:
        return ": differences inside one brain are predicted better than by chance"
    return f": {unshown}"


def _permuted(findings: Findings) -> Iterator[str]:
    """What the search finds in labels without signal."""
    tests = (
        ("between and within participants", findings.p_global),
        ("within participants", findings.p_within),
    )
    for shuffled, p in tests:
        if p is None:
            continue
        supports = "speaks against chance, but not against a leak" if findings.leaks else "supports a signal"
        said = supports if _rejects(p) else "gives no support to a signal"
        yield f"Repeating the whole search on labels shuffled {shuffled} {said} (p = {p:.3g})."


def _needed(findings: Findings) -> Iterator[str]:
    """How many participants would tell more."""
    found = findings.estimate
    if found is None or found.low is None or found.high is None or found.high <= found.low:
        yield "How many participants would tell more cannot be said, as the estimate has no interval."
        return
    yield from _narrower(findings, found.low, found.high)
    if findings.claim is not False:
        return
    if findings.is_auc:
        yield _powered(findings, found.low, found.high)
    else:
        yield (
            f"How many would tell {article(named(findings.metric))} from chance cannot be said, as no value "
            "of it is known that would be worth it."
        )


def _narrower(findings: Findings, low: float, high: float) -> Iterator[str]:
    """Participants for a narrower interval: of a share a fixed width, of any other metric half of its own."""
    name, participants = named(findings.metric), findings.participants
    if not findings.is_auc and findings.metric not in SHARES:
        n = for_half_width(participants, low, high, (high - low) / 4)
        yield (
            f"To know this {name} twice as precisely, about {_cohort(findings, n)} like these would be "
            "needed."
        )
    elif high - low > 2 * HALF_WIDTH:
        n = for_half_width(participants, low, high)
        yield (
            f"To know this {name} to within {HALF_WIDTH:.2f} either way, about {_cohort(findings, n)} like "
            "these would be needed."
        )


def _powered(findings: Findings, low: float, high: float) -> str:
    """Participants with whom a worthwhile AUC would be told from chance."""
    name, share = named(findings.metric), f"{100 * POWER:.0f} %"
    n = for_power(findings.participants, low, high)
    if n > findings.participants:
        return (
            f"To tell a true {name} of {WORTHWHILE:.2f} from chance in {share} of such studies, about "
            f"{_cohort(findings, n)}."
        )
    return (
        f"A true {name} of {WORTHWHILE:.2f} would have been told from chance in at least {share} of such "
        "studies."
    )


def _cohort(findings: Findings, participants: int) -> str:
    biopsies = round(participants * findings.biopsies / findings.participants)
    return f"{counted(participants, 'participant')} ({counted(biopsies, 'biopsy')})"
