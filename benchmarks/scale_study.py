"""A study that trains nothing: cohort, settings, folds of the usual size, many finished trials at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import JournalStorage
from optuna.storages._rdb import models
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial, TrialState

from data_prep.phantom import PhantomSpec, write_phantom
from search.dashboard import has_note
from search.home import Home
from search.material import freeze_folds, prepare
from search.opening import open_study
from search.records import FoldResult
from search.storage import is_known, open_storage
from search.study_file import Study, read_study

FOLDS, BIOPSIES, PARTICIPANTS, EPOCHS = 5, 150, 45, 10
AT_ONCE = 500  # trials that are written together
SPACE = """
name = "{name}"
cohort = "cohort"
[search]
trials = {trials}
sampler = "{sampler}"
pruner = "{pruner}"
[space]
architecture = ["resnet50", "resnet152", "small_cnn"]
optimizer = ["adam", "amsgrad", "sgd"]
learning_rate = {{ low = 1e-5, high = 1e-1, log = true }}
batch_size = [1, 3, 9, 18, 45, 90]
patch_radius = {{ low = 2, high = 8 }}
momentum = {{ low = 0.0, high = 0.99, when = {{ optimizer = "sgd" }} }}
"""


def settings(folder: Path, name: str, trials: int, sampler: str = "random", pruner: str = "paired") -> Study:
    """The study's settings; its cohort is made where there is none."""
    if not (folder / "cohort").exists():
        write_phantom(folder / "cohort", PhantomSpec(size=32, missing=0.0))
    text = SPACE.format(name=name, trials=trials, sampler=sampler, pruner=pruner)
    (folder / f"{name}.toml").write_text(text)
    return read_study(folder / f"{name}.toml")


def opened(study: Study, url: str | None, home: Home) -> optuna.Study:
    """The study in its storage, as a run leaves it before its first trial."""
    material = prepare(study, home, frozen=is_known(study.name, url, home))
    found = open_study(study, material, open_storage(url, home), home)
    freeze_folds(material, home.study(study.name))
    return found


def empty_fold(seed: int, split: int) -> FoldResult:
    """A fold of the usual size that nobody trained: probabilities that say little of the labels."""
    rows = np.arange(split, BIOPSIES, FOLDS)
    random = np.random.default_rng([seed, split])
    curve = random.uniform(0.4, 0.7, EPOCHS).tolist()
    label = (rows // FOLDS) % 2
    return FoldResult(
        split=split,
        repeat=0,
        fold=split,
        rows=tuple(rows.tolist()),
        participants=tuple((rows % PARTICIPANTS).tolist()),
        labels=tuple(label.tolist()),
        probabilities=tuple((0.2 * label + random.uniform(0, 0.8, len(rows))).tolist()),
        threshold=0.5,
        label_threshold=1.29,
        curves={"loss": curve, "stop_loss": curve, "stop_roc_auc": curve},
        best_epoch=EPOCHS,
        seconds=0.0,
        parameters=24_164_097,
        trainable_parameters=24_110_977,
        device="none",
        memory_mb=1000.0,
        dead_parameters=6_291_456,
    )


def fill(study: optuna.Study, trials: int) -> None:
    """Bring a study to so many trials at once, by copies of its complete ones with other parameters.

    Args:
        study: One with a complete trial, as its slot left it.
        trials: How many it then has.
    """
    storage, before = study._storage, study.get_trials(deepcopy=False)
    notes = storage.get_study_system_attrs(study._study_id)
    known = [t for t in before if t.state == TrialState.COMPLETE and has_note(notes, t)]
    random = np.random.default_rng(len(before))
    copies = [_copy(known[int(random.integers(len(known)))], n, random) for n in range(len(before), trials)]
    start = f"dashboard:{known[0]._trial_id}:"
    note = {name.removeprefix(start): text for name, text in notes.items() if name.startswith(start)}
    for first in range(0, len(copies), AT_ONCE):
        some = copies[first : first + AT_ONCE]
        if isinstance(storage, JournalStorage):
            storage._backend.append_logs([r for trial in some for r in _records(study, trial, note)])
        else:
            _insert(study, some, note)
    if not isinstance(storage, JournalStorage):
        with _engine(study).connect() as connection:
            connection.execute(sqlalchemy.text("ANALYZE"))  # as PostgreSQL does by itself in a minute


def _copy(trial: FrozenTrial, number: int, random: np.random.Generator) -> FrozenTrial:
    """A trial like another, but for its number, its parameters and its value."""
    params = {name: _drawn(domain, random) for name, domain in trial.distributions.items()}
    params |= {name: trial.params[name] for name in ("architecture", "optimizer")}  # what others depend on
    copy = optuna.create_trial(
        value=float(random.uniform(0.4, 0.7)),
        params=params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs | {"place": number, "key": number},
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )
    copy.number = number
    return copy


def _drawn(domain: BaseDistribution, random: np.random.Generator) -> Any:
    if isinstance(domain, CategoricalDistribution):
        return domain.choices[int(random.integers(len(domain.choices)))]
    if isinstance(domain, IntDistribution):
        return int(random.integers(domain.low, domain.high + 1))
    low, high = domain.low, domain.high  # type: ignore[attr-defined]
    return float(np.exp(random.uniform(np.log(low), np.log(high))) if low > 0 else random.uniform(low, high))


def _records(study: optuna.Study, trial: FrozenTrial, note: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines of the journal, as a slot writes them one by one."""
    head = {"worker_id": "benchmark"}
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    made = {"op_code": JournalOperation.CREATE_TRIAL, "study_id": study._study_id, "datetime_start": now}
    yield head | made
    of = head | {"trial_id": trial.number}
    for name, value in trial.params.items():
        domain = trial.distributions[name]
        yield of | {
            "op_code": JournalOperation.SET_TRIAL_PARAM,
            "param_name": name,
            "param_value_internal": domain.to_internal_repr(value),
            "distribution": distribution_to_json(domain),
        }
    for name, value in trial.user_attrs.items():
        yield of | {"op_code": JournalOperation.SET_TRIAL_USER_ATTR, "user_attr": {name: value}}
    for name, value in trial.system_attrs.items():
        yield of | {"op_code": JournalOperation.SET_TRIAL_SYSTEM_ATTR, "system_attr": {name: value}}
    for step, value in trial.intermediate_values.items():
        reported = {"step": step, "intermediate_value": value}
        yield of | {"op_code": JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE, **reported}
    ended = {"state": TrialState.COMPLETE, "values": trial.values, "datetime_complete": now}
    yield of | {"op_code": JournalOperation.SET_TRIAL_STATE_VALUES, **ended}
    for name, text in note.items():
        attribute = {f"dashboard:{trial.number}:{name}": text}
        told = {"study_id": study._study_id, "system_attr": attribute}
        yield head | {"op_code": JournalOperation.SET_STUDY_SYSTEM_ATTR, **told}


def _engine(study: optuna.Study) -> sqlalchemy.Engine:
    url: str = study._storage.url  # type: ignore[attr-defined]
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)


def _insert(study: optuna.Study, trials: list[FrozenTrial], note: Mapping[str, Any]) -> None:
    """Rows of the database."""
    with _engine(study).begin() as connection:
        new = [{"study_id": study._study_id, "number": t.number, **_moments(t)} for t in trials]
        insert = sqlalchemy.insert(models.TrialModel).returning(
            models.TrialModel.trial_id, sort_by_parameter_order=True
        )
        ids = connection.scalars(insert, new).all()
        for model, rows in _tables(study, dict(zip(ids, trials, strict=True)), note).items():
            connection.execute(sqlalchemy.insert(model), rows)


def _moments(trial: FrozenTrial) -> dict[str, Any]:
    now = datetime.now(UTC).replace(tzinfo=None)
    return {"state": trial.state, "_datetime_start_utc": now, "_datetime_complete_utc": now}


def _tables(
    study: optuna.Study, trials: Mapping[int, FrozenTrial], note: Mapping[str, Any]
) -> dict[Any, list[dict[str, Any]]]:
    """What belongs to trials, by the table where it goes."""
    finite, known = models.TrialValueModel.TrialValueType, models.TrialIntermediateValueModel
    rows: dict[Any, list[dict[str, Any]]] = {}
    for i, trial in trials.items():
        for name, value in trial.params.items():
            domain = trial.distributions[name]
            row = {"param_name": name, "param_value": domain.to_internal_repr(value)}
            row["distribution_json"] = distribution_to_json(domain)
            rows.setdefault(models.TrialParamModel, []).append({"trial_id": i, **row})
        value = {"objective": 0, "value": trial.value, "value_type": finite.FINITE}
        rows.setdefault(models.TrialValueModel, []).append({"trial_id": i, **value})
        for model, attributes in (
            (models.TrialUserAttributeModel, trial.user_attrs),
            (models.TrialSystemAttributeModel, trial.system_attrs),
        ):
            texts = [{"trial_id": i, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()]
            rows.setdefault(model, []).extend(texts)
        for step, number in trial.intermediate_values.items():
            row = {"step": step, "intermediate_value": number}
            row["intermediate_value_type"] = known.TrialIntermediateValueType.FINITE
            rows.setdefault(known, []).append({"trial_id": i, **row})
        for name, text in note.items():
            row = {"key": f"dashboard:{i}:{name}", "value_json": json.dumps(text)}
            rows.setdefault(models.StudySystemAttributeModel, []).append({"study_id": study._study_id, **row})
    return rows
