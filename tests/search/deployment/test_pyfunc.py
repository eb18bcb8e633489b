"""What `mlflow.pyfunc` loads says what the model folder says, in a process that has MLflow alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.fold_input import fit_input
from data_prep.saved_input import write_input
from search.deployment.member import Member, write_member
from search.deployment.model import Model
from search.deployment.pyfunc import _load_pyfunc
from search.deployment.records import Shown
from search.deployment.registering import deployed, register
from search.deployment.showing import shown_sites
from search.deployment.tensors import arrays_of
from search.fold import INPUT, NETWORK
from search.mlflow_store.deployed import save
from tests.search.deployment.conftest import Refitted
from tests.search.deployment.hand_made import CONFIGURATIONS, made, sample, seal, training
from tests.search.deployment.own_mlflow import home_with_mlflow
from tests.search.deployment.test_unlike import RADIUS

ASKING = """
import sys
import numpy as np
import mlflow
model = mlflow.pyfunc.load_model("models:/shallow@champion")
assert not {"tensorflow", "optuna", "cloudpickle.cloudpickle_fast"} & set(sys.modules)
with np.load(sys.argv[1]) as arrays:
    np.savez(sys.argv[2], **model.predict(dict(arrays)))
example = model.input_example
print(model.predict(example)["probability"].shape)
"""

OPENING = """
import sys
from pathlib import Path
from search.deployment.model import Model
from search.deployment.tensors import answers_of, shown_of
import numpy as np
model = Model.open(Path(sys.argv[3]))
with np.load(sys.argv[1]) as arrays:
    shown = shown_of(dict(arrays), model.facts, False)
np.savez(sys.argv[2], **answers_of(model.predictor().say(shown)))
assert "mlflow" not in sys.modules
"""


def spawned(code: str, *arguments: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    command = [sys.executable, "-P", "-W", "ignore", "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=kept | environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_registered_model_and_its_folder_say_the_same_in_other_processes(
    refitted: Refitted, model_folder: Path, tmp_path: Path
) -> None:
    model, cohort = Model.open(model_folder), read_cohort(refitted.cohort)
    shown = shown_sites(model, cohort, cohort.biopsies)
    said = model.predictor().say(shown)
    home = home_with_mlflow(refitted.home, tmp_path / "home")
    register(model, home, "shallow", None, None)
    asked = tmp_path / "asked.npz"
    np.savez(asked, **arrays_of(shown))
    told = spawned(ASKING, asked, tmp_path / "served.npz", MLFLOW_TRACKING_URI=home.tracking_uri)
    assert told.splitlines()[-1] == "(1, 1)"
    spawned(OPENING, asked, tmp_path / "opened.npz", model_folder)
    for answers in ("served", "opened"):
        with np.load(tmp_path / f"{answers}.npz") as found:
            assert set(found) == {"probability", "spread", "positive", "distance", "unlike"}
            for name in found:
                np.testing.assert_array_equal(found[name], getattr(said, name), strict=True)


ASKING_NETWORK = """
import sys
import numpy as np
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[3])
with np.load(sys.argv[1]) as arrays:
    np.savez(sys.argv[2], **model.predict(dict(arrays)))
assert "keras" in sys.modules
"""


def with_a_network(folder: Path) -> Model:
    """A sealed model whose only member is a small network of random weights."""
    import keras

    from models.heads import LOGIT

    patches = training()
    model = made(folder, configurations=CONFIGURATIONS[1:2], patches=patches)
    view = fit_input(patches, np.arange(len(patches)), RADIUS, "mask")
    keras.utils.set_random_seed(3)
    shape = view.images(patches).shape[1:]
    network = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, name=LOGIT),
        ]
    )
    network = keras.Model(network.inputs[0], keras.layers.Activation("sigmoid")(network.outputs[0]))
    entry = model.facts.members[0]
    shallow = Member.open(folder / entry.folder).facts
    facts = replace(
        shallow, architecture="small_cnn", kind="network", features="patches", radius=RADIUS, files={}
    )

    def write(partial: Path) -> None:
        write_input(view, partial / INPUT)
        network.save(partial / NETWORK)

    shutil.rmtree(folder / "members")
    write_member(folder / entry.folder, facts, write)
    seal(
        Model(folder, replace(model.facts, members=(entry,), configurations=({"architecture": "small_cnn"},)))
    )
    return Model.open(folder)


@pytest.mark.slow
def test_a_network_says_the_same_when_mlflow_loads_it_in_another_process(tmp_path: Path) -> None:
    model, shown = with_a_network(tmp_path / "model"), Shown(sample(9, seed=5))
    said = model.predictor().say(shown)
    assert len(np.unique(said.probability)) > 3
    save(deployed(model), tmp_path / "saved")
    asked = tmp_path / "asked.npz"
    np.savez(asked, **arrays_of(shown))
    spawned(ASKING_NETWORK, asked, tmp_path / "served.npz", tmp_path / "saved")
    with np.load(tmp_path / "served.npz") as found:
        for name in ("probability", "spread", "distance"):
            np.testing.assert_allclose(found[name], getattr(said, name), atol=1e-6)


def test_what_is_loaded_is_the_folder_that_mlflow_names(model_folder: Path, refitted: Refitted) -> None:
    served = _load_pyfunc(str(model_folder))
    model, cohort = Model.open(model_folder), read_cohort(refitted.cohort)
    shown = shown_sites(model, cohort, cohort.biopsies[:3])
    found = served.predict(arrays_of(shown), params=None)
    np.testing.assert_array_equal(found["probability"], model.predictor().say(shown).probability)
