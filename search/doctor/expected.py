"""The runs that MLflow should hold of a study, from Optuna's record alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import optuna
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import FrozenTrial

from search.booking import booked_settings, finished_folds, is_superseded, key_of
from search.facts import StudyFacts, config_of, ending_of, message_of, study_metrics
from search.home import StudyFolder
from search.ledger import Ledger, RunRecord
from search.owner import Owner
from search.pseudonyms import Names
from search.publishing import STUDY, RunPublisher
from search.study_file import Study


def attempts_by_key(trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    """A lost trial and its copies together, by the key under which they are published, the first first."""
    lines: dict[int, list[FrozenTrial]] = defaultdict(list)
    for trial in trials:
        lines[key_of(trial)].append(trial)
    return dict(lines)


def has_run(attempts: Sequence[FrozenTrial]) -> bool:
    """Whether a trial should have a run: one attempt ended, and it had begun or nobody takes it up again."""
    ended = [trial for trial in attempts if trial.state.is_finished()]
    begun = any(booked_settings(trial) is not None for trial in attempts)
    return bool(ended) and (begun or not is_superseded(ended[-1]))


@dataclass(frozen=True)
class Records:
    """Turns Optuna's record of a study into the runs that were, or should have been, logged.

    Attributes:
        study: The study in Optuna.
        definition: Its settings.
        names: What biopsies and participants are called.
        folder: Where its trials' pictures lie.
    """

    study: optuna.Study
    definition: Study
    names: Names
    folder: StudyFolder

    def runs(self, busy: Collection[int], with_study: bool) -> dict[str, RunRecord]:
        """The runs by key, parents first.

        Args:
            busy: Keys of trials to leave out, as somebody works on them.
            with_study: Whether the study's own run has ended, too.
        """
        ledger, trials = Ledger(), self.study.get_trials(deepcopy=False)
        publisher = RunPublisher(self.definition, StudyFacts.of(self.study), self.names, ledger)
        ledger.now = min((t.datetime_start for t in trials if t.datetime_start), default=None)
        publisher.study_started(None)
        for key, attempts in attempts_by_key(trials).items():
            if key not in busy and has_run(attempts):
                self._trial(publisher, ledger, trials, attempts)
        if not with_study:
            del ledger.runs[STUDY]
            return ledger.runs
        ledger.now = max((t.datetime_complete for t in trials if t.datetime_complete), default=None)
        publisher.study_ended("FINISHED", study_metrics(self.study))
        return ledger.runs

    def _trial(
        self,
        publisher: RunPublisher,
        ledger: Ledger,
        trials: Sequence[FrozenTrial],
        attempts: Sequence[FrozenTrial],
    ) -> None:
        ended = [trial for trial in attempts if trial.state.is_finished()]
        last, key, folds = ended[-1], key_of(ended[-1]), finished_folds(attempts[-1])
        ledger.now = ended[0].datetime_start
        owner = last.user_attrs.get("owner")
        publisher.trial_started(
            key,
            config_of(trials, attempts[-1], self.definition.search.seed),
            last.user_attrs.get("retry_of"),
            Owner.parse(owner).host if owner else None,
        )
        for fold in folds.values():
            publisher.fold_started(key, fold.split)
            # When a fold began is not on record; one after the other, and for as long as each took.
            ledger.now = ledger.now and ledger.now + timedelta(seconds=fold.seconds)
            publisher.fold_done(key, fold)
        ledger.now = last.datetime_complete
        publisher.pictures_drawn(key, [self.folder.trial(key) / name for name in self._pictures(last)])
        publisher.ending_known(key, list(folds.values()), ending_of(last), message_of(last))

    def _pictures(self, trial: FrozenTrial) -> list[str]:
        """What the dashboard shows of a trial, MLflow shows too; a lost trial shows nothing."""
        if is_superseded(trial):
            return []
        metas = get_all_artifact_meta(trial, storage=self.study._storage)
        return sorted({meta.filename for meta in metas})
