"""Trials and studies compared on identical folds: which is better, if that can be told.

What a search selected is not tested against anything on the biopsies that selected it: it is too good there
by the luck of the best, and a paired test takes that for a difference. Folds that had no part in selecting
are no way out, as the biopsies are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from data_prep.problems import InputError, Problems, nearest
from search.facts import rule_of
from search.home import Home
from search.identity import searched_label
from search.metrics import DIRECTIONS, Doubles
from search.opening import IDENTITY, study_id
from search.refits.rescored import SchemeScores, read_scheme
from search.statistics.comparison import Comparison, corrected, corrected_t
from search.statistics.fold_values import fold_values, held_out_ratio
from search.statistics.honest import Difference, estimate_of
from search.statistics.predictions import Outputs, Predictions, predictions_of
from search.statistics.selection import Rule, combined, select
from search.storage import all_studies
from search.tables import STATES
from search.terminal import open_existing

Part = dict[str, Any]
HONEST_DRAWS = 1000  # with the seed 0 those of `search.judgement`, so that both say the same


@dataclass(frozen=True, eq=False)
class Contender:
    """A trial, or what a study's rule selects, with its predictions.

    Attributes:
        name: As the user gave it: STUDY or STUDY:TRIAL.
        study: The study.
        trials: Numbers of the trials, best first.
        rule: The rule that selected them; None for a trial that was named.
        is_selected: Whether the search's folds picked it out of several: by the rule, or as the best trial.
        predictions: Of the study's complete trials, in the search.
        bank: Its finalists on the ten fold tables; None where they were not scored there.
    """

    name: str
    study: optuna.Study
    trials: tuple[int, ...]
    rule: Rule | None
    is_selected: bool
    predictions: Predictions
    bank: SchemeScores | None

    @property
    def folds(self) -> Part:
        """Number, repeats and hash of the study's fold table."""
        return dict(self.study.user_attrs["folds"])

    def own_outputs(self) -> Outputs:
        """What it said in the search."""
        return combined(self.predictions, [self.predictions.trials.index(trial) for trial in self.trials])

    def bank_outputs(self) -> Outputs | None:
        """What it said on the ten fold tables; None where not all of its trials were scored there."""
        scored = self.bank.predictions() if self.bank else None
        if scored is None:
            return None
        places = [_place(scored, self.predictions, trial) for trial in self.trials]
        return None if None in places else combined(scored, [place for place in places if place is not None])

    def record(self, value: float) -> Part:
        """What `--json` says of it."""
        return {
            "name": self.name,
            "study": self.study.study_name,
            "trials": list(self.trials),
            "rule": self.rule and self.rule.name,
            "selected": self.is_selected,
            "value": value,
        }


@dataclass(frozen=True, eq=False)
class Rival:
    """A contender against the first.

    Attributes:
        contender: It.
        value: Its mean over the folds.
        difference: Its value minus the first's.
        comparison: The test of that, p corrected for all tests; None where one of the two was selected.
        single_p: The p-value before that.
        better: The name of the better one; None where they cannot be told apart, or were not tested.
        note: Why they were not tested.
        honest: What a study selects minus its untuned configuration, on participants that had no part in
            selecting; None of another pair.
    """

    contender: Contender
    value: float
    difference: float
    comparison: Comparison | None = None
    single_p: float | None = None
    better: str | None = None
    note: str | None = None
    honest: Difference | None = None

    def record(self) -> Part:
        """What `--json` says of it."""
        found, honest = self.comparison, self.honest
        return self.contender.record(self.value) | {
            "difference": self.difference,
            "tested": found is not None,
            "note": self.note,
            "ci95": found and [found.low, found.high],
            "p": found and found.p,
            "p_uncorrected": self.single_p,
            "smallest_difference": found and found.margin,
            "indistinguishable": found and found.indistinguishable,
            "better": self.better,
            "tuned_minus_default": honest
            and {"difference": honest.estimate, "ci95": [honest.low, honest.high]},
        }


@dataclass(frozen=True, eq=False)
class Compared:
    """Several contenders on the same folds.

    Attributes:
        metric: What is compared.
        first: The one that the others are compared with.
        value: Its mean over the folds.
        rivals: The others.
        bank: The scores on ten fold tables that this rests on; None for the search's own folds.
        left_out: How many of these tables, the search's own, are not used, as they selected a contender.
        folds: How many folds there are.
        used: In how many of them the metric is defined.
    """

    metric: str
    first: Contender
    value: float
    rivals: tuple[Rival, ...]
    bank: SchemeScores | None
    left_out: int
    folds: int
    used: int

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """All of them, as they were named."""
        return (self.first, *(rival.contender for rival in self.rivals))

    @property
    def tests(self) -> tuple[Comparison, ...]:
        """Of the rivals that were tested."""
        return tuple(rival.comparison for rival in self.rivals if rival.comparison is not None)

    def record(self) -> Part:
        """What `radsearch compare --json` prints."""
        scored = {
            "used": self.used,
            "bank": self.bank is not None,
            "seeds": self.bank.seeds if self.bank else 1,
            "tables_left_out": self.left_out,
        }
        table = self.bank.table if self.bank else self.first.folds["hash"]
        return {
            "metric": self.metric,
            "folds": {"n": self.folds, "hash": table, **scored},
            "reference": self.first.record(self.value),
            "comparisons": [rival.record() for rival in self.rivals],
        }


def find_contenders(home: Home, storage: str | None, names: Sequence[str]) -> tuple[Contender, ...]:
    """Look up what is compared.

    Args:
        home: Where the studies are.
        storage: URL of Optuna's storage; None for the journal in the home.
        names: Each STUDY, for what its rule selects, or STUDY:TRIAL; two at least.

    Raises:
        InputError: There is no such study or trial, a trial is not complete, or the studies do not have the
            same labels and fold table; a line each.
    """
    if len(names) < 2:
        raise InputError(f"STUDY: two or more are needed to compare, but got {len(names)}")
    opened = open_existing(home, storage)
    studies = {study.study_name: study for study in all_studies(opened)} if opened else {}
    problems, found = Problems(), []
    for name in names:
        try:
            found.append(_contender(home, studies, name))
        except InputError as error:
            problems.extend(error)
    problems.raise_any()
    _check_identical(found)
    return tuple(found)


def compare(contenders: Sequence[Contender], metric: str | None = None) -> Compared:
    """Compare all others with the first.

    On the folds of the bank of ten tables where all were scored there with as many seeds, else on those of
    the search. Where one was selected, the search's own tables of the bank are left out, and its pairs are
    shown but not tested: in cohorts without any signal the test calls a selection better than the untuned
    configuration more often still on tables that had no part in selecting, which are many and of the same
    biopsies.

    Args:
        contenders: Two at least, on the same labels and fold table.
        metric: A name of `search.metrics.DIRECTIONS`; None for what the first study was searched by.

    Raises:
        InputError: The metric is unknown, or defined in fewer than two folds.
    """
    metric = metric or str(contenders[0].study.user_attrs["metric"])
    if metric not in DIRECTIONS:
        raise InputError(f"--metric: unknown name {metric!r}; {nearest(metric, DIRECTIONS)}")
    bank, left_out, outputs = _on_same_folds(contenders)
    values = np.stack([fold_values(one, metric) for one in outputs])
    defined = np.flatnonzero(~np.isnan(values).any(axis=0))
    if len(defined) < 2:
        raise InputError(
            f"--metric: {metric} must be defined in two folds at least to be compared, but is in "
            f"{len(defined)} of {values.shape[1]}"
        )
    rivals = _rivals(contenders, values[:, defined], metric, held_out_ratio(outputs[0]), bank is not None)
    mean, folds = float(values[0, defined].mean()), values.shape[1]
    return Compared(metric, contenders[0], mean, rivals, bank, left_out, folds, len(defined))


def _rivals(
    contenders: Sequence[Contender], values: Doubles, metric: str, ratio: float, is_bank: bool
) -> tuple[Rival, ...]:
    """All but the first, by the value of each in each fold, shape (contenders, folds)."""
    first, *others = contenders
    differences = values[1:] - values[0]
    tested = [index for index, other in enumerate(others) if not (first.is_selected or other.is_selected)]
    alone = [corrected_t(differences[index], ratio) for index in tested]
    tests = dict(zip(tested, zip(alone, corrected(alone), strict=True), strict=True))
    rivals = []
    for index, other in enumerate(others):
        rival = Rival(other, float(values[index + 1].mean()), float(differences[index].mean()))
        if index in tests:
            one, found = tests[index]
            better = _better(first, other, found, metric)
            rival = replace(rival, comparison=found, single_p=one.p, better=better)
        else:
            note = f"selected on these {'biopsies' if is_bank else 'folds'}: not tested"
            rival = replace(rival, note=note, honest=_honest(first, other, metric))
        rivals.append(rival)
    return tuple(rivals)


def _honest(first: Contender, other: Contender, metric: str) -> Difference | None:
    """The difference of what a study selects and its untuned configuration, if these are the two."""
    for selected, named in ((first, other), (other, first)):
        predictions, study = selected.predictions, selected.study
        default = None if predictions.default is None else predictions.trials[predictions.default]
        if (
            selected.rule is not None
            and (named.study.study_name, named.rule, named.trials) == (study.study_name, None, (default,))
            and metric == study.user_attrs["metric"]
        ):
            return estimate_of(predictions, selected.rule, metric, HONEST_DRAWS, seed=0).tuned_minus_default
    return None


def _contender(home: Home, studies: dict[str, optuna.Study], name: str) -> Contender:
    study_name, colon, number = name.partition(":")
    if study_name not in studies:
        raise InputError(f"STUDY: no study {study_name!r} in {home.root}; {nearest(study_name, studies)}")
    study = studies[study_name]
    if colon:
        _check_complete(study, name, number)
    predictions = _predictions(study)
    if predictions is None or (colon and int(number) not in predictions.trials):
        raise InputError(f"STUDY: {name}: a complete trial is needed, but it has none yet")
    bank, is_one_of_several = _bank(home, study), len(predictions.trials) > 1
    if colon:
        is_selected = is_one_of_several and _is_best(study, predictions, int(number))
        return Contender(name, study, (int(number),), None, is_selected, predictions, bank)
    rule = rule_of(study)
    members = select(rule, predictions, study.user_attrs["metric"])
    trials = tuple(predictions.trials[member] for member in members)
    return Contender(name, study, trials, rule, is_one_of_several, predictions, bank)


def _is_best(study: optuna.Study, predictions: Predictions, number: int) -> bool:
    """Whether no complete trial has a better value."""
    sign = 1.0 if DIRECTIONS[study.user_attrs["metric"]] == "maximize" else -1.0
    values = {t.number: sign * t.value for t in study.get_trials(deepcopy=False) if t.value is not None}
    best = max((values[trial] for trial in predictions.trials if trial in values), default=None)
    return best is not None and values.get(number) == best


def _check_complete(study: optuna.Study, name: str, number: str) -> None:
    """Refuse a trial that has no prediction of some biopsies."""
    trials = {str(trial.number): trial for trial in study.get_trials(deepcopy=False)}
    if number not in trials:
        have = f"its trials are 0 to {len(trials) - 1}" if trials else "it has none yet"
        raise InputError(f"STUDY: {name}: no trial {number!r} of study {study.study_name!r}: {have}")
    state = trials[number].state
    if state != TrialState.COMPLETE:
        raise InputError(
            f"STUDY: {name}: only a complete trial can be compared, but it is {STATES[state.name]}"
        )


def _predictions(study: optuna.Study) -> Predictions | None:
    try:
        return predictions_of(study)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"study {study.study_name!r}: its record in the storage must be one of this version's, but got "
            f"{type(error).__name__}: {error}"
        ) from error


def _bank(home: Home, study: optuna.Study) -> SchemeScores | None:
    """The finalists on ten fold tables; none of an earlier study of that name."""
    bank = read_scheme(home.study(study.study_name), "bank")
    return bank if bank is not None and bank.study == study_id(study) else None


def _check_identical(contenders: Sequence[Contender]) -> None:
    """Refuse what was not scored on the same folds of the same biopsies with the same labels."""
    first, problems = contenders[0], Problems()
    for other in contenders[1:]:
        pair = f"{first.name} and {other.name}"
        for what, one, its in (
            ("fold table", first.folds["hash"], other.folds["hash"]),
            ("labels", *(searched_label(c.study.user_attrs[IDENTITY]) for c in (first, other))),
        ):
            if one != its:
                problems.add(
                    f"STUDY: {pair}",
                    f"only studies of the same {what} can be compared, but got sha256 {one} and {its}",
                )
    problems.raise_any()
    for other in contenders[1:]:
        changed = int(np.sum(first.predictions.label != other.predictions.label))
        if changed:
            problems.add(
                f"STUDY: {first.name} and {other.name}",
                f"each biopsy must have the same label in both, but {changed} differ: was `label` another?",
            )
    problems.raise_any()


def _on_same_folds(contenders: Sequence[Contender]) -> tuple[SchemeScores | None, int, list[Outputs]]:
    """The best folds that all were scored on, how many tables are left out, and what each said there."""
    banks = [contender.bank for contender in contenders if contender.bank is not None]
    outputs = [said for contender in contenders if (said := contender.bank_outputs()) is not None]
    is_same = len({(bank.table, bank.seeds) for bank in banks}) == 1
    # A bank begins with the tables of the search.
    own = int(contenders[0].folds["repeats"]) if any(one.is_selected for one in contenders) else 0
    if is_same and len(outputs) == len(contenders) and banks[0].tables > own:
        return banks[0], own, [_without_first(said, own) for said in outputs]
    return None, 0, [contender.own_outputs() for contender in contenders]


def _without_first(said: Outputs, tables: int) -> Outputs:
    """What was said on the other tables."""
    parts = ("label", "fold", "score", "probability", "predicted")
    return replace(said, **{part: getattr(said, part)[tables:] for part in parts})


def _place(scored: Predictions, searched: Predictions, trial: int) -> int | None:
    """Which finalist a trial is: itself, or another one with the same settings."""
    if trial in scored.trials:
        return scored.trials.index(trial)
    settings = dict(searched.settings[searched.trials.index(trial)])
    return next((index for index, other in enumerate(scored.settings) if dict(other) == settings), None)


def _better(first: Contender, other: Contender, found: Comparison, metric: str) -> str | None:
    """The name of the better one; None where they cannot be told apart."""
    if found.indistinguishable:
        return None
    is_other = (found.difference > 0) == (DIRECTIONS[metric] == "maximize")
    return other.name if is_other else first.name
