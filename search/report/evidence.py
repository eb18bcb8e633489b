"""All that is known of a study, gathered once: what the sections of the report are written from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from data_prep.folds import read_folds
from data_prep.problems import InputError
from search.audit.record import Audit
from search.bank import read_bank
from search.booking import finished_folds, is_superseded
from search.facts import StudyFacts, rule_of
from search.home import Home, StudyFolder
from search.material import Material
from search.metrics import Doubles
from search.pseudonyms import Names, read_names
from search.records import FoldResult
from search.refits.nested import Nested
from search.refits.permutation import Permutation
from search.refits.rescored import SchemeScores
from search.report.agreement import Agreement
from search.report.belonging import (
    agreement_of,
    audit_of,
    importance_of,
    nested_of,
    permutations_of,
    rescored_of,
)
from search.report.importance import Importance
from search.report.ladder import LadderStep, ladder
from search.report.newest_model import NewestModel, newest_model
from search.statistics.honest import Honest, estimate_of
from search.statistics.performance import Measured, informative_pairs, performance
from search.statistics.predictions import Outputs, Predictions, predictions_of
from search.statistics.selection import combined
from search.study_file import Study

DRAWS, LADDER_DRAWS, SEED = 1000, 1000, 0
ENOUGH = 19  # permutations without which no p-value below 5 % is possible
SHUFFLED = {"global": "between and within participants", "within": "within participants"}
Step = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Evidence:
    """A study and what can be said of it.

    Attributes:
        study: The study in Optuna.
        definition: Its settings.
        folder: Where its files lie.
        names: What its biopsies and participants are called on the page.
        trials: All trials, also those that a copy replaced.
        material: Its dataset; None where the cohort is not at hand.
        predictions: Out-of-fold predictions of the complete trials.
        honest: The honest estimate.
        within: The honest AUC within participants of the same selection: every draw selects by the study's
            metric.
        outputs: What the selected model said of each held-out biopsy.
        measured: Its metrics with intervals, by name.
        pairs: Pairs of biopsies of one participant and both classes.
        steps: The ladder of architectures.
        audit: The leakage audit; None where it was not run.
        permutations: The permutation tests that were run.
        nested: Nested cross-validation; None where it was not run.
        rescored: Finalists on other folds, by the scheme of these.
        importance: Per-sequence importance likewise.
        retest: How far second scans agree with first ones; None where they were not compared.
        model: The newest model that was made of the study; None where there is none.
    """

    study: optuna.Study
    definition: Study
    folder: StudyFolder
    names: Names
    trials: tuple[FrozenTrial, ...]
    material: Material | None = None
    predictions: Predictions | None = None
    honest: Honest | None = None
    within: Honest | None = None
    outputs: Outputs | None = None
    measured: Mapping[str, Measured] = field(default_factory=dict)
    pairs: int = 0
    steps: Sequence[LadderStep] = ()
    audit: Audit | None = None
    permutations: tuple[Permutation, ...] = ()
    nested: Nested | None = None
    rescored: Mapping[str, SchemeScores] = field(default_factory=dict)
    importance: Importance | None = None
    retest: Agreement | None = None
    model: NewestModel | None = None

    @property
    def name(self) -> str:
        """The study's name."""
        return self.definition.name

    @property
    def facts(self) -> StudyFacts:
        """Sizes and hashes."""
        return StudyFacts.of(self.study)

    @property
    def cohort(self) -> Mapping[str, Any]:
        """What was booked of the cohort: name, participants, biopsies, positive, threshold, excluded."""
        booked: Mapping[str, Any] = self.study.user_attrs["cohort"]
        return booked

    @property
    def counted(self) -> tuple[FrozenTrial, ...]:
        """The trials that were handed out and that no copy replaces."""
        return tuple(t for t in self.trials if not is_superseded(t) and t.state != TrialState.WAITING)

    @property
    def p_values(self) -> Mapping[str, float]:
        """Of the permutation tests that could have rejected, by a key of `SHUFFLED`."""
        return {test.null: test.p_value for test in self.permutations if test.permutations >= ENOUGH}

    @property
    def leaks(self) -> tuple[str, ...] | None:
        """Names of the audit's checks that found a leak; None where it was not run."""
        return None if self.audit is None else tuple(check.name for check in self.audit.leaks)

    @property
    def elsewhere(self) -> list[tuple[str, Measured]]:
        """What other ways to score the study gave, by what they are called."""
        metric = self.definition.search.metric
        found = []
        if self.nested is not None:
            found.append(("nested cross-validation", self.nested.performance[metric]))
        trials = self.honest.trials if self.honest else ()
        for scores in self.rescored.values():
            means = [one.mean(metric) for one in scores.finalists if one.trial in trials]
            known = [mean for mean in means if mean is not None]
            if known:
                told = "shares participants" in scores.title or not scores.shares_participants
                marked = "" if told else " (shares participants)"
                found.append((f"{scores.title}{marked}", Measured(float(np.mean(known)), None, None)))
        return found

    @property
    def bank_hash(self) -> str | None:
        """The sha256 of the bank of fold tables; None before it was made."""
        with suppress(InputError, OSError):
            return read_bank(self.folder).hash
        return None

    @property
    def best(self) -> FrozenTrial | None:
        """The best of the selected trials."""
        if self.honest is None or not self.honest.trials:
            return None
        return next(trial for trial in self.trials if trial.number == self.honest.trials[0])

    def folds_of(self, number: int) -> tuple[FoldResult, ...]:
        """The finished folds of one trial."""
        return tuple(finished_folds(next(t for t in self.trials if t.number == number)).values())


def gather(
    study: optuna.Study,
    definition: Study,
    home: Home,
    material: Material | None,
    step: Step = lambda *_: None,
) -> Evidence:
    """Read and compute all that the report shows; nothing is fitted.

    Args:
        study: The study in Optuna.
        definition: Its settings.
        home: Where its files lie.
        material: Its dataset, if the cohort is at hand.
        step: Called with steps done and in all.
    """
    folder, total = home.study(definition.name), 3
    metric, names = definition.search.metric, names_for(study, definition, folder)
    predictions = predictions_of(study)
    honest = within = None
    if predictions is not None:
        rule = rule_of(study)
        honest = estimate_of(predictions, rule, metric, DRAWS, SEED)
        within = estimate_of(predictions, rule, metric, DRAWS, SEED, scored="within_participant_auc")
    step(1, total)
    outputs = _selected(predictions, honest)
    measured = performance(outputs, expression_of(material), SEED) if outputs is not None else {}
    step(2, total)
    steps = (
        ladder(predictions, outputs, metric, LADDER_DRAWS, SEED)
        if predictions is not None and outputs is not None
        else []
    )
    step(3, total)
    return Evidence(
        study=study,
        definition=definition,
        folder=folder,
        names=names,
        trials=tuple(study.get_trials(deepcopy=False)),
        material=material,
        predictions=predictions,
        honest=honest,
        within=within,
        outputs=outputs,
        measured=measured,
        pairs=informative_pairs(outputs) if outputs is not None else 0,
        steps=steps,
        audit=_audit(study, folder, names),
        permutations=tuple(permutations_of(study, folder)),
        nested=nested_of(study, definition, folder, material),
        rescored=rescored_of(study, folder),
        importance=importance_of(study, definition, folder),
        retest=agreement_of(study, folder),
        model=newest_model(study, home),
    )


def _audit(study: optuna.Study, folder: StudyFolder, names: Names) -> Audit | None:
    """The audit, in the names that the page uses; whoever has none there is not told apart."""
    audit = audit_of(study, folder)
    if audit is None:
        return None
    known: dict[str, str] = {}
    with suppress(InputError, OSError):
        table = read_folds(folder.folds)
        known |= zip(table.biopsy_id, names.biopsy, strict=True)
        known |= zip(dict.fromkeys(table.participant_id), names.participant, strict=True)
    told = {one: known.get(one, "one left out") for check in audit.checks for one in check.ids}
    return audit.renamed(told)


def expression_of(material: Material | None) -> Doubles | None:
    """log2(TPM + 1) of each biopsy, or another score that is predicted; None without the cohort."""
    return None if material is None else material.labels.value


def names_for(study: optuna.Study, definition: Study, folder: StudyFolder) -> Names:
    """What biopsies and participants are called; pseudonyms count where no list of them is at hand."""
    with suppress(OSError, ValueError):
        return read_names(folder.pseudonyms, definition.tracking.identifiers)
    return StudyFacts.of(study).pseudonyms


def _selected(predictions: Predictions | None, honest: Honest | None) -> Outputs | None:
    if predictions is None or honest is None or not honest.trials:
        return None
    return combined(predictions, [predictions.trials.index(number) for number in honest.trials])
