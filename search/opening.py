"""Creating a study or continuing it: what it is made of is frozen at its first start."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage

from data_prep.files import whole_file
from data_prep.problems import Problems
from search.domains import Choice, Domain
from search.home import Home
from search.material import Material
from search.metrics import DIRECTIONS
from search.sections import InputSection, TrainingSection
from search.space import read_space
from search.storage import make_pruner
from search.study_file import Study
from search.suggest import stored_names

HASHES = ("cohort.patches", "cohort.labels", "folds.hash")


def open_study(study: Study, material: Material, storage: BaseStorage, home: Home) -> optuna.Study:
    """Create the study in the storage, or continue it.

    Raises:
        InputError: A study of that name exists and differs in what makes trials comparable; one line a
        difference.
    """
    opened = optuna.create_study(
        study_name=study.name,
        storage=storage,
        direction=DIRECTIONS[study.search.metric],
        sampler=optuna.samplers.RandomSampler(seed=study.search.seed),
        pruner=optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    identity = identity_of(study, material)
    if "identity" in opened.user_attrs:
        _check_identity(study.name, opened.user_attrs["identity"], identity)
        _check_space(study, opened.user_attrs["space"])
    else:
        _describe(opened, study, material, identity)
    opened.set_user_attr("space", study.space)
    for params in study.search.enqueue:
        opened.enqueue_trial(stored_names(study.parameters, params), skip_if_exists=True)
    with whole_file(home.study(study.name).definition) as definition:
        definition.write_text(study.to_json(), encoding="utf-8")
    return opened


def study_id(study: optuna.Study) -> str:
    """A name that no other study has, also where it is called the same in another home."""
    return str(study.user_attrs["id"])


def slot_study(study: Study, storage: BaseStorage) -> optuna.Study:
    """The study as one slot sees it; its sampler is set trial by trial."""
    return optuna.load_study(study_name=study.name, storage=storage, pruner=make_pruner(study.search))


def identity_of(study: Study, material: Material) -> dict[str, Any]:
    """What must stay the same for trials of one study to be comparable."""
    return {
        "cohort.name": material.cohort,
        "cohort.patches": material.patches.hash,
        "cohort.labels": material.labels_hash,
        "folds.hash": material.folds.hash,
        "search.metric": study.search.metric,
        "space.patch_radius.high": study.parameters.largest_radius,
        **_own_code(study),
        **_flat("label", study.label.model_dump(mode="json")),
        **_flat("input", study.input.model_dump(mode="json")),
        **_flat("validation", study.validation.model_dump(mode="json")),
        **_flat("training", study.training.model_dump(mode="json")),
    }


def _own_code(study: Study) -> dict[str, Any]:
    """What the study's own architectures are; its files of code and of weights by their content."""
    own = {
        f"architectures.{n}": section.model_dump(mode="json") for n, section in study.architectures.items()
    }
    return own | {f"{name} (sha256)": content for name, content in study.files.items()}


def _flat(section: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for key, value in table.items()}


def _check_identity(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Report settings that differ; data hashes only where no setting explains their difference."""
    # A setting that is younger than the study had its default's effect.
    defaults = {
        **_flat("training", TrainingSection().model_dump(mode="json")),
        **_flat("input", InputSection().model_dump(mode="json")),
    }
    if "jitter" in before.get("input.augmentation", ()):
        defaults.pop("input.registration_sd_mm")  # it had been 1.5 voxels
    before = {**defaults, **before}
    changed = [key for key in now if json.dumps(before.get(key)) != json.dumps(now[key])]
    settings = [key for key in changed if key not in HASHES]
    problems = Problems()
    for key in settings or changed:
        problems.add(
            f"study {name!r}: {key}",
            f"must stay {before.get(key)!r} as it was at the study's start, but got {now[key]!r}. "
            "Use another name or --home for a new study",
        )
    problems.raise_any()


def _check_space(study: Study, before: Mapping[str, Any]) -> None:
    """A parameter must keep its list of values, or its scale: Optuna refuses another at a later trial."""
    problems = Problems()
    now = study.parameters
    old = read_space(before, "study", Problems(), study.catalogue, study.defaults)
    for parameter in now.parameters:
        name = parameter.name
        if name in old and _frozen_part(old[name].domain) != _frozen_part(parameter.domain):
            problems.add(
                f"study {study.name!r}: space.{name}",
                f"must stay {old[name].domain} as at the study's start, but got {parameter.domain}. "
                "Use another name for a new study",
            )
    problems.raise_any()


def _frozen_part(domain: Domain) -> Any:
    return domain.options if isinstance(domain, Choice) else (domain.log, domain.integer)


def _describe(opened: optuna.Study, study: Study, material: Material, identity: Mapping[str, Any]) -> None:
    """Book what `radsearch show` says of cohort and folds; with the identity, the last, the study counts."""
    opened.set_user_attr(
        "cohort",
        {
            "name": material.cohort,
            "participants": len(set(material.patches.participant_id)),
            "biopsies": len(material.patches.biopsy_id),
            "positive": int(material.labels.label.sum()),
            "threshold": material.labels.threshold,
            "excluded": dict(material.excluded),
        },
    )
    opened.set_user_attr(
        "folds",
        {"n": material.folds.n_folds, "repeats": study.validation.repeats, "hash": material.folds.hash},
    )
    opened.set_user_attr("metric", study.search.metric)
    opened.set_metric_names([study.search.metric])
    opened.set_user_attr("space", study.space)
    opened.set_user_attr("id", uuid.uuid4().hex)
    opened.set_user_attr("identity", dict(identity))
