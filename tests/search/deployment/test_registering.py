from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from packaging.requirements import Requirement

from data_prep.problems import InputError
from mlflow_server.launch import free_port
from search.deployment.card import write_card
from search.deployment.model import Model, hash_of
from search.deployment.registering import NEEDED, deployed, place_of, register, requirements
from search.errors import StudyStoppedError
from search.home import Home
from search.mlflow_store.models import LONGEST_TEXT
from search.opening import study_id
from tests.search.deployment.conftest import Refitted
from tests.search.deployment.facts_by_hand import make_facts
from tests.search.deployment.own_mlflow import home_with_mlflow


@pytest.fixture
def home(refitted: Refitted, tmp_path: Path) -> Home:
    """A home with the study's MLflow."""
    return home_with_mlflow(refitted.home, tmp_path / "home")


def test_a_model_is_registered_once_below_its_study(
    home: Home, refitted: Refitted, model_folder: Path
) -> None:
    model, identity, done = Model.open(model_folder), study_id(refitted.recorded), []
    found = register(model, home, "shallow", identity, None, lambda *step: done.append(step))
    assert (found.name, found.version, found.address) == ("shallow", 1, "models:/shallow@champion")
    assert done[-1][0] == done[-1][1]
    client = MlflowClient(home.tracking_uri, registry_uri=home.tracking_uri)
    run = client.get_run(found.run_id)
    assert run.info.run_name == "refit shallow 1"
    assert (run.data.tags["level"], run.data.tags["radsearch.model"]) == (
        "refit",
        hash_of(model_folder / "model.json"),
    )
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert (parent.info.run_name, parent.data.tags["level"]) == ("shallow", "study")
    facts = model.facts
    assert run.data.metrics["out_of_fold.roc_auc"] == facts.labels[0].out_of_fold.roc_auc
    assert run.data.metrics["honest.estimate"] == facts.honest["estimate"]
    assert run.data.params["trials"] == ",".join(map(str, facts.trials))
    assert register(model, home, "shallow", identity, None) == found
    assert len(client.search_model_versions("name = 'shallow'")) == 1


def test_no_id_of_the_cohort_reaches_mlflow(home: Home, refitted: Refitted, model_folder: Path) -> None:
    register(Model.open(model_folder), home, "shallow", study_id(refitted.recorded), None)
    ids = {*refitted.material.patches.biopsy_id, *refitted.material.patches.participant_id}
    pattern = re.compile(rb"\b(" + b"|".join(sorted(one.encode() for one in ids)) + rb")\b")
    files = [
        home.root / "mlflow.db",
        *(path for path in home.tracking_artifacts.rglob("*") if path.is_file()),
    ]
    assert len(files) > 10
    assert not [path for path in files if pattern.search(path.read_bytes())]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".py")]


def test_without_mlflow_one_line_says_so(home: Home, model_folder: Path) -> None:
    model = Model.open(model_folder)
    with pytest.raises(
        StudyStoppedError, match=r"^MLflow at http://jo:\*\*\*@127.0.0.1:\d+ cannot be reached"
    ):
        register(model, home, "shallow", None, f"http://jo:secret@127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match="tracking URI: the scheme must be one of"):
        register(model, home, "shallow", None, "ftp://nowhere")


def test_what_is_not_known_is_no_metric() -> None:
    facts = make_facts(honest={"estimate": None, "ci95": [None, None], "p_value": 0.03})
    metrics = deployed_metrics(facts)
    assert metrics == {
        "honest.p_value": 0.03,
        "out_of_fold.roc_auc": 0.71,
        "out_of_fold.brier": 0.21,
        "threshold": 0.45,
    }
    two = replace(facts, labels=(facts.labels[0], replace(facts.labels[0], name="CD8[A]")))
    assert "out_of_fold.roc_auc.CD8 if A" in deployed_metrics(two)


def deployed_metrics(facts: object) -> dict[str, float]:
    from search.deployment.registering import _metrics

    return _metrics(facts)  # type: ignore[arg-type]


def test_the_card_is_the_description(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    facts = Model.open(model_folder).facts
    (folder / "README.md").unlink(missing_ok=True)
    assert deployed(Model(folder, facts)).description == facts.intended_use
    (folder / "README.md").write_text("# A card")
    assert deployed(Model(folder, facts)).description == "# A card"
    write_card(folder, facts, None)
    told = deployed(Model(folder, facts)).description
    assert len(told) <= LONGEST_TEXT < len((folder / "README.md").read_text())
    assert told.endswith("\n\nThe whole card, with its pictures, is `data/model/README.md`.\n")


@pytest.mark.parametrize("name", ["../../outside", "/outside", "..", ""])
def test_a_study_of_a_model_from_elsewhere_names_no_other_folder(name: str, home: Home) -> None:
    with pytest.raises(InputError, match=r"^study: .* make a name, but got"):
        place_of(home, home.tracking_uri, name, None)


CALLED = {"scikit-learn": "sklearn", "pillow": "PIL", "keras-tuner": "keras_tuner", "pybids": "bids"}


ASKING = """
import sys
from pathlib import Path
from search.deployment.pyfunc import _load_pyfunc
from search.deployment.tensors import example
from search.deployment.unlike import read_reference
served = _load_pyfunc(sys.argv[1])
served.predict(example(served._facts, read_reference(Path(sys.argv[1])), False))
print(*sys.modules)
"""


def test_the_requirements_name_each_of_our_dependencies_that_is_imported(model_folder: Path) -> None:
    command = [sys.executable, "-P", "-c", ASKING, str(model_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[3] / "setup.cfg")
    lines = [line for line in config["options"]["install_requires"].splitlines() if line]
    direct = [Requirement(line).name for line in lines]
    loaded = set(done.stdout.split())
    assert {name for name in direct if CALLED.get(name, name.replace("-", "_")) in loaded} == set(NEEDED)


def test_tensorflow_is_required_by_networks_alone() -> None:
    network = [line.split("==")[0] for line in requirements(make_facts())]
    assert {"mlflow", "keras", "numpy"} <= set(network)
    shallow = make_facts(configurations=({"architecture": "roi_means"},) * 2)
    assert set(network) - {line.split("==")[0] for line in requirements(shallow)} <= {
        "keras",
        "tensorflow",
        "tensorflow-cpu",
    }
    assert all(re.fullmatch(r"[a-z-]+==[0-9][\w.+]*", line) for line in requirements(shallow))
