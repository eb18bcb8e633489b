"""What a study writes to MLflow and to optuna-dashboard: runs study > trial > fold, pictures, notes."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import FrozenTrial

from models.nvidia_smi import GpuReading
from search.beside import summary_beside
from search.booking import booked_settings, finished_folds, key_of
from search.dashboard import attach_pictures, save_trial_note, trial_note
from search.endings import Ending
from search.facts import StudyFacts, ending_of, message_of
from search.ledger import RunLog
from search.links import run_path
from search.metrics import finite, fold_metrics, pooled_metrics
from search.owner import Owner
from search.pseudonyms import Names
from search.records import FoldResult, TrialConfig
from search.study_file import Study
from search.versions import software_versions

STUDY = "study"
PREDICTIONS = ("split", "repeat", "fold", "biopsy", "participant", "label", "probability", "threshold")


def trial_key(key: int) -> str:
    """The tracking key of a trial."""
    return f"trial/{key}"


def fold_key(key: int, split: int) -> str:
    """The tracking key of one fold of a trial."""
    return f"trial/{key}/fold/{split}"


class RunPublisher:
    """Logs what happens to a study and its trials as runs.

    Args:
        study: The study's settings.
        facts: What is published of its dataset: sizes and hashes.
        names: What its biopsies and participants are called there.
        tracker: The way to MLflow.
    """

    def __init__(self, study: Study, facts: StudyFacts, names: Names, tracker: RunLog) -> None:
        self._study, self._facts, self._names, self._tracker = study, facts, names, tracker
        self._running: dict[int, int] = {}  # the fold of each trial that has started and not ended
        self._new: set[int] = set()  # trials that nobody began before

    def study_started(self, source: str | None, joining: bool = False) -> None:
        """Open the study's run, or open it again.

        Args:
            source: The study file as written.
            joining: Whether another process opened the study, and its settings are there.
        """
        tags = {**self._tags("study"), **{f"version.{k}": v for k, v in software_versions().items()}}
        self._tracker.start_run(STUDY, self._study.name, tags, self._study_params())
        if not joining:
            self._tracker.log_text(STUDY, self._study.to_json(), "study.json")
        if source is not None:
            self._tracker.log_text(STUDY, source, "study.toml")

    def study_ended(self, status: str, metrics: Mapping[str, float]) -> None:
        """Close the study's run; it is opened again when the study goes on."""
        self._tracker.log_metrics(STUDY, metrics)
        self._tracker.end_run(STUDY, status)

    def trial_started(
        self, key: int, config: TrialConfig, retry_of: int | None, host: str | None = None
    ) -> None:
        """Open the trial's run, or open it again for a retry; `host` ran it, by default this machine."""
        tags = {**self._tags("trial"), "trial": str(key), "owner": host or Owner.of().host}
        if retry_of is not None:
            tags["retry_of"] = str(retry_of)
        name = f"trial {key} {config.settings.get('architecture', '')}".strip()
        params = {**{param_name(name): value for name, value in config.settings.items()}, "seed": config.seed}
        (self._new.add if retry_of is None else self._new.discard)(key)
        self._tracker.start_run(trial_key(key), name, tags, params, parent=STUDY, is_new=key in self._new)

    def fold_started(self, key: int, split: int) -> None:
        """Open the run of one fold."""
        self._running[key] = split
        tags = {**self._tags("fold"), "trial": str(key), "fold": str(split)}
        name, parent = f"trial {key} fold {split}", trial_key(key)
        self._tracker.start_run(fold_key(key, split), name, tags, {}, parent=parent, is_new=key in self._new)

    def fold_done(self, key: int, fold: FoldResult) -> None:
        """Log a fold's curves and metrics, and end its run."""
        run = fold_key(key, fold.split)
        if self._running.get(key) == fold.split:  # else it waited for the database, and a later one runs
            del self._running[key]
        self._tracker.set_tags(run, {"device": fold.device})
        self._tracker.log_curves(run, _by_epoch(fold.curves))
        self._tracker.log_metrics(run, _fold_summary(fold))
        self._tracker.end_run(run, "FINISHED")

    def fold_found(self, key: int, fold: FoldResult) -> None:
        """Log a fold that a dead process had finished, also where its run was never opened."""
        self.fold_started(key, fold.split)
        self.fold_done(key, fold)

    def gpu_read(self, key: int, reading: GpuReading) -> None:
        """Log how busy the trial's GPU is, on its run: folds are too short, and the trial goes on elsewhere.

        MLflow draws metrics named like this by the clock, in a tab of their own ("System metrics"). The steps
        are seconds since 1970, so that the last value is the newest whoever took the trial up.
        """
        told = {
            "gpu_utilization_percentage": reading.utilization,
            "gpu_memory_usage_megabytes": reading.memory_mb,
            "gpu_memory_usage_percentage": reading.memory_percentage,
        }
        system = {f"system/{name}": value for name, value in told.items()}
        self._tracker.log_metrics(trial_key(key), system, step=int(time.time()))

    def pictures_drawn(self, key: int, paths: Sequence[Path]) -> None:
        """Log the trial's pictures."""
        for path in paths:
            self._tracker.log_artifact(trial_key(key), path)

    def ending_known(self, key: int, folds: Sequence[FoldResult], ending: Ending, message: str) -> None:
        """End the trial's run; where no retry follows, log its metrics and out-of-fold table before."""
        run = trial_key(key)
        self._new.discard(key)
        error = "" if ending.cause == "interrupted" else message
        self._tracker.set_tags(run, {"ending": ending.cause, "error": error})
        if folds and not ending.retry:
            self._tracker.log_metrics(run, trial_summary(folds, self._facts.complete))
            self._tracker.log_text(run, predictions_table(folds, self._names), "out_of_fold.tsv")
        self._tracker.end_run(run, ending.run_status)

    def _tags(self, level: str) -> dict[str, str]:
        return {"level": level, "study": self._study.name, "fold_table": self._facts.fold_table}

    def _study_params(self) -> dict[str, str | int | float]:
        study, facts = self._study, self._facts
        return {
            "cohort": facts.cohort,
            "participants": facts.participants,
            "biopsies": facts.biopsies,
            "positive": facts.positive,
            "label_threshold": facts.threshold,
            "patches": facts.patches,
            "label": "+".join(study.label.definition.heads),
            "genes": ",".join(study.label.genes),
            "rule": study.label.rule,
            "folds": study.validation.folds,
            "repeats": study.validation.repeats,
            "metric": study.search.metric,
            "sampler": study.search.sampler,
            "pruner": study.search.pruner,
            "epochs": study.training.epochs,
        }


class TrialPublisher(RunPublisher):
    """Tells MLflow and the dashboard what happens to trials; safe to share between slots.

    Args:
        study: The study's settings.
        facts: What is published of its dataset: sizes and hashes.
        names: What its biopsies and participants are called there.
        tracker: The way to MLflow.
        store: Where optuna-dashboard looks for pictures.
    """

    def __init__(
        self,
        study: Study,
        facts: StudyFacts,
        names: Names,
        tracker: RunLog,
        store: FileSystemArtifactStore,
    ) -> None:
        super().__init__(study, facts, names, tracker)
        self._store = store
        self._pictures: dict[int, Mapping[str, str]] = {}  # of trials that have pictures and no note yet

    def pictures(
        self, study: optuna.Study, trial: optuna.Trial, key: int, pictures: Mapping[str, Path]
    ) -> None:
        """Publish the trial's pictures to both; to be called before the trial is told."""
        self.pictures_drawn(key, list(pictures.values()))
        self._pictures[key] = attach_pictures(study, trial, self._store, pictures)

    def trial_ended(
        self,
        study: optuna.Study,
        trial: optuna.Trial,
        key: int,
        folds: Sequence[FoldResult],
        ending: Ending,
        message: str,
    ) -> None:
        """End the trial's run and that of the fold that was under way, and write the trial's note."""
        if key in self._running:
            self._tracker.end_run(fold_key(key, self._running.pop(key)), ending.run_status)
        self.ending_known(key, folds, ending, message)
        lines, shown = ending_lines(ending, message, folds), self._pictures.pop(key, {})
        note = trial_note(lines, shown, run_path(self._study.name, key))
        save_trial_note(study, trial, note, is_first=True)  # this process alone has told the trial

    def trial_lost(self, trial: FrozenTrial) -> None:
        """End the runs of a trial that was failed since its process died; a retry opens them again.

        The run of the fold under way may still wait in the dead process' spool, which is delivered before
        what is said here.
        """
        if booked_settings(trial) is None:
            return  # its process died before it opened a run
        key, folds, ending = key_of(trial), finished_folds(trial), ending_of(trial)
        under_way = next((split for split in range(self._facts.splits) if split not in folds), None)
        if under_way is not None:
            self._tracker.end_run(fold_key(key, under_way), ending.run_status, if_any=True)
        self.ending_known(key, list(folds.values()), ending, message_of(trial))


def param_name(name: str) -> str:
    """A parameter's name as MLflow takes it: it knows no brackets.

    >>> param_name("hyper.units[kind=cnn|mlp]")
    'hyper.units if kind is cnn or mlp'
    """
    for sign, words in (("[", " if "), ("=", " is "), ("|", " or "), ("]", "")):
        name = name.replace(sign, words)
    return re.sub(r"[^\w./ :-]", "_", name)


def trial_summary(folds: Sequence[FoldResult], complete: Sequence[int] | None = None) -> dict[str, float]:
    """The metrics by which trials are compared, those beside them, and their cost.

    Args:
        folds: What the trial said.
        complete: The rows of the biopsies that have every sequence; None where all have.
    """
    return {
        **finite(pooled_metrics([fold.scores for fold in folds])),
        **_named(summary_beside(folds, complete)),
        "folds_done": float(len(folds)),
        "seconds": sum(fold.seconds for fold in folds),
        "parameters": float(folds[0].parameters),
        "trainable_parameters": float(folds[0].trainable_parameters),
        "dead_parameters": float(folds[0].dead_parameters),
    }


def _named(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics under names that MLflow takes; of those that become the same, later ones get a number."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        plain = param_name(name)
        numbered = (f"{plain} {number}" for number in count(2))
        found[next(free for free in chain([plain], numbered) if free not in found)] = value
    return found


def ending_lines(ending: Ending, message: str, folds: Sequence[FoldResult]) -> list[str]:
    """How a trial ended, as paragraphs of Markdown."""
    return [f"Ended: {ending.cause}" + (f". {message}" if message else ""), metrics_line(folds)]


def metrics_line(folds: Sequence[FoldResult]) -> str:
    """The trial's metrics in one line of Markdown."""
    metrics = finite(pooled_metrics([fold.scores for fold in folds]))
    return ", ".join(f"{name} **{value:.3f}**" for name, value in metrics.items()) or "No fold is finished."


def predictions_table(folds: Sequence[FoldResult], names: Names) -> str:
    """The out-of-fold probability of every held-out biopsy, as TSV.

    Args:
        folds: Finished folds.
        names: What the study's biopsies and participants are called where others can read it.
    """
    lines = ["\t".join(PREDICTIONS)]
    for fold in folds:
        heldout = zip(fold.rows, fold.participants, fold.labels, fold.probabilities, strict=True)
        for row, person, label, probability in heldout:
            cells = (fold.split, fold.repeat, fold.fold, names.biopsy[row], names.participant[person])
            lines.append("\t".join(map(str, (*cells, label, probability, fold.threshold))))
    return "\n".join(lines) + "\n"


def _by_epoch(curves: Mapping[str, Sequence[float | None]]) -> list[dict[str, float]]:
    """Curves by name turned into one table an epoch, without what is undefined."""
    epochs = max((len(curve) for curve in curves.values()), default=0)
    return [
        finite({f"epoch.{name}": curve[epoch] for name, curve in curves.items() if epoch < len(curve)})
        for epoch in range(epochs)
    ]


def _fold_summary(fold: FoldResult) -> dict[str, float]:
    return {
        **finite(fold_metrics(fold.scores)),
        "best_epoch": float(fold.best_epoch),
        "threshold": fold.threshold,
        "seconds": fold.seconds,
        "memory_mb": fold.memory_mb,
        **fold.gpu,
    }
