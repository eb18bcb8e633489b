"""A model folder put into MLflow: logged as a pyfunc model, registered under its name, alias `champion`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from data_prep.files import make_folders
from data_prep.problems import InputError
from data_prep.survey import Progress
from search.delivery import Outage, Rejected
from search.deployment.card_short import shortened
from search.deployment.facts import CARD, FILE, LabelFacts, ModelFacts
from search.deployment.model import Model, hash_of
from search.deployment.predictor import Predictor
from search.deployment.tensors import example, input_tensors, output_tensors
from search.deployment.unlike import read_reference
from search.errors import StudyStoppedError
from search.home import Home
from search.links import is_server
from search.log_values import curve_points
from search.mlflow_store.deployed import Deployed
from search.mlflow_store.models import LONGEST_TEXT, MlflowModels
from search.mlflow_store.single_runs import Place
from search.publishing import param_name
from search.run_ids import RunIds
from search.specs import is_baseline
from search.study_file import NAME
from search.tracking_uri import check_uri, without_password

LOADER = "search.deployment.pyfunc"

NEEDED = (
    "isal",
    "nibabel",
    "numpy",
    "pydantic",
    "rich",
    "scikit-learn",
    "scipy",
    "skops",
    "threadpoolctl",
)
"""The direct dependencies of ours that are imported where a model is asked."""

NEEDED_BY_NETWORKS = ("keras", "tensorflow", "tensorflow-cpu")
"""Likewise by members that are networks; of the builds of TensorFlow the one that there is."""


@dataclass(frozen=True)
class Registered:
    """A registered model.

    Attributes:
        name: Of the model.
        version: MLflow's number of it, from 1 on.
        run_id: The run that it was logged by.
    """

    name: str
    version: int
    run_id: str

    @property
    def address(self) -> str:
        """What MLflow and `radsearch predict` take."""
        return f"models:/{self.name}@champion"


def register(
    model: Model,
    home: Home,
    study_name: str,
    study_id: str | None,
    tracking_uri: str | None,
    progress: Progress | None = None,
) -> Registered:
    """Log a model folder and register it under its name; one that is registered already gets the alias alone.

    Args:
        model: The model.
        home: Where the study is.
        study_name: Whose experiment it goes to.
        study_id: What marks the study's runs in it; None where that is not known.
        tracking_uri: MLflow's; None for the database in the home.
        progress: Called with files done and in all while they are uploaded.

    Raises:
        InputError: The tracking URI is none that is supported.
        StudyStoppedError: MLflow cannot be reached, or refuses.
    """
    uri = tracking_uri or home.tracking_uri
    check_uri(uri)
    facts = model.facts
    number = "" if facts.version is None else f" {facts.version}"
    try:
        make_folders(home.root)
        shelf = MlflowModels(uri)
        place = place_of(home, uri, study_name, study_id)
        found = shelf.register(facts.name, deployed(model), f"refit {facts.name}{number}", place, progress)
    except (Outage, Rejected) as error:
        what = "cannot be reached" if isinstance(error, Outage) else "refused the model"
        raise StudyStoppedError(f"MLflow at {without_password(uri)} {what}: {error}") from error
    return Registered(found.name, found.number, found.run_id)


def place_of(home: Home, uri: str, study_name: str, study_id: str | None) -> Place:
    """Where runs beside a study's own go.

    Args:
        home: Where the study is, or not.
        uri: Tracking URI.
        study_name: Whose experiment it is.
        study_id: What marks the study's runs in it.

    Raises:
        InputError: No study can be called so.
    """
    if not NAME.fullmatch(study_name):  # it names a folder, and a model that came from elsewhere may say it
        raise InputError(f"study: 100 letters, digits, '.', '_' and '-' make a name, but got {study_name!r}")
    artifacts = None if is_server(uri) else home.tracking_artifacts
    run_ids = RunIds(home.study(study_name).spool, uri, study_name)
    return Place(uri, artifacts, study_name, run_ids, study_id)


def deployed(model: Model) -> Deployed:
    """A model as MLflow shows it."""
    facts, predictor = model.facts, model.predictor()
    reads_location = predictor.reads_location
    return Deployed(
        folder=model.folder.absolute(),
        digest=hash_of(model.folder / FILE),
        loader=LOADER,
        inputs=input_tensors(facts.request, reads_location),
        outputs=output_tensors(len(facts.labels), facts.is_regression),
        example=example(facts, read_reference(model.folder), reads_location),
        requirements=requirements(facts),
        description=_description(model.folder, facts),
        tags=_tags(facts),
        params=_params(facts, predictor),
        metrics=_metrics(facts),
    )


def requirements(facts: ModelFacts) -> tuple[str, ...]:
    """What a model needs beside radsearch itself, which no package index has: the versions that are here."""
    networks = any(not is_baseline(settings) for settings in facts.configurations)
    names = (*NEEDED, *(NEEDED_BY_NETWORKS if networks else ()))
    return tuple(_pins(("mlflow", *names)))


def _pins(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        try:
            yield f"{name}=={version(name)}"
        except PackageNotFoundError:
            continue


def _description(folder: Path, facts: ModelFacts) -> str:
    """The model card, as much of it as there is room for; of a folder without one what the model is for."""
    path = folder / CARD
    if not path.is_file():
        return facts.intended_use
    return shortened(path.read_text(encoding="utf-8"), LONGEST_TEXT, f"data/{folder.absolute().name}/{CARD}")


def _tags(facts: ModelFacts) -> dict[str, str]:
    return {
        "level": "refit",
        "study": facts.study,
        "fold_table": facts.training.folds,
        "intended_use": facts.intended_use,
        "model": facts.name,
        "model_version": "" if facts.version is None else str(facts.version),
        "device": facts.device,
        **{f"version.{name}": text for name, text in facts.software.items()},
    }


def _params(facts: ModelFacts, predictor: Predictor) -> dict[str, str]:
    training, request = facts.training, facts.request
    told: dict[str, object] = {
        "rule": facts.rule,
        "metric": facts.metric,
        "trials": ",".join(map(str, facts.trials)),
        "architectures": ",".join(str(one.get("architecture")) for one in facts.configurations),
        "members": len(predictor.entries),
        "folds": facts.folds,
        "epochs": ",".join("-" if one is None else str(one) for one in facts.epochs),
        "task": facts.task,
        "label": ",".join(facts.label_names),
        "cohort": training.cohort,
        "participants": training.participants,
        "biopsies": training.biopsies,
        "positive": training.positive,
        "sequences": ",".join(request.sequences),
        "needed": ",".join(facts.needed),
        "patch_radius": request.radius,
        "slices": request.slices,
        "spacing_mm": request.spacing_mm or "native",
        "missing": facts.missing,
    }
    return {name: str(value) for name, value in told.items()}


def _metrics(facts: ModelFacts) -> dict[str, float]:
    """The honest estimate, and how the ensemble scores biopsies held out; what is not known is left out."""
    honest = facts.honest
    low, high = honest.get("ci95") or (None, None)
    told: dict[str, float | None] = {
        "honest.estimate": honest.get("estimate"),
        "honest.low": low,
        "honest.high": high,
        "honest.p_value": honest.get("p_value"),
        "honest.naive": honest.get("naive"),
    }
    for number, label in enumerate(facts.labels):
        told |= _held_out(label, "" if number == 0 else f".{param_name(label.name)}")
    return curve_points([told], 0).get(0, {})


def _held_out(label: LabelFacts, suffix: str) -> dict[str, float | None]:
    found = label.out_of_fold
    return {
        f"out_of_fold.roc_auc{suffix}": found.roc_auc,
        f"out_of_fold.brier{suffix}": found.brier,
        f"threshold{suffix}": label.threshold,
    }
