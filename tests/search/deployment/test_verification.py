"""A fresh process finds a model folder as its fits left it, or says what is not."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.problems import InputError
from search.deployment import verification as module
from search.deployment.folder import build
from search.deployment.model import Model, hashes_of
from search.deployment.records import Said, Shown
from search.deployment.verification import OtherwiseError, Verification, verify
from search.errors import StudyStoppedError
from search.home import Home
from search.placement import Placement
from tests.search.conftest import Finished
from tests.search.deployment.conftest import Refitted

HERE = Placement(1, None)


def checked(refitted: Refitted, folder: Path, told: list[tuple[int, int]] | None = None) -> Verification:
    with refitted.ledger() as ledger:
        progress = None if told is None else lambda done, total: told.append((done, total))
        return verify(folder, refitted.plan, ledger, refitted.home, HERE, progress)


def test_shallow_members_say_the_same_to_the_last_bit(refitted: Refitted, model_folder: Path) -> None:
    told: list[tuple[int, int]] = []
    found = checked(refitted, model_folder, told)
    assert found == Verification(members=3, biopsies=36, largest=0.0, tolerance=1e-5)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert found.as_json()["largest"] == 0.0


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the request answered here, which takes no time to start."""

    def ask(request: Mapping[str, Any], place: Placement, progress: object) -> list[Said]:
        answers = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(json.dumps(request)))
            patch.setattr("sys.stdout", answers)
            module.main()
        answer = json.loads(answers.getvalue().strip().splitlines()[-1])
        if "problems" in answer:
            raise InputError(answer["problems"])
        return [Said(np.array(told)) for told in answer["probabilities"]]

    monkeypatch.setattr(module, "_ask", ask)


@pytest.mark.usefixtures("in_this_process")
def test_a_member_that_says_otherwise_is_named(
    refitted: Refitted, model_folder: Path, tmp_path: Path
) -> None:
    """Two members changed places before the folder was sealed."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    facts = Model.open(folder).facts
    first, last = (folder / facts.members_of(None)[k].folder for k in (0, 2))
    for name in ("member.json", "input.npz", "baseline.skops"):
        (first / name).rename(tmp_path / "kept")
        (last / name).rename(first / name)
        (tmp_path / "kept").rename(last / name)
    (folder / "model.json").write_text(replace(facts, files=hashes_of(folder)).to_json())
    with pytest.raises(OtherwiseError) as caught:
        checked(refitted, folder)
    assert caught.value.fits == (refitted.plan.final[0][0], refitted.plan.final[2][0])
    for entry in (facts.members_of(None)[0], facts.members_of(None)[2]):
        assert f"probabilities of {entry.folder} differ by up to 0." in str(caught.value)


def test_a_model_of_other_fits_is_told(refitted: Refitted, model_folder: Path) -> None:
    plan = replace(refitted.plan, final=tuple((replace(fits[0], seed=1),) for fits in refitted.plan.final))
    with (
        refitted.ledger() as ledger,
        pytest.raises(StudyStoppedError, match="members of the fits of this plan"),
    ):
        verify(model_folder, plan, ledger, refitted.home, HERE)


@pytest.mark.usefixtures("in_this_process")
def test_a_folder_that_is_none_and_a_cohort_that_changed_are_input_errors(
    refitted: Refitted, model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"a model folder has a plain model\.json"):
        checked(refitted, tmp_path)
    study = refitted.study.model_copy(update={"cohort": str(tmp_path / "gone")})
    plan = replace(refitted.plan, study=study)
    with refitted.ledger() as ledger, pytest.raises(InputError, match="gone"):
        verify(model_folder, plan, ledger, refitted.home, HERE)
    patches = refitted.material.patches
    fewer = replace(refitted.material, patches=patches.take(range(1, len(patches))))
    with (
        refitted.ledger() as ledger,
        pytest.raises(InputError, match="the cohort changed while the model was"),
    ):
        verify(model_folder, replace(refitted.plan, material=fewer), ledger, refitted.home, HERE)


def test_a_process_that_dies_is_told_with_its_last_words(
    refitted: Refitted, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import sys; print('a library prints'); sys.exit('no memory')"
    monkeypatch.setattr(module, "COMMAND", (*module.COMMAND[:1], "-c", script))
    with pytest.raises(
        StudyStoppedError, match="the process that asks the model again ended with 1: no memory"
    ):
        checked(refitted, model_folder)


@pytest.mark.parametrize(
    ("gpu", "precision", "tolerance"),
    [(None, "float32", 1e-5), ("0", "float32", 1e-2), (None, "mixed_bfloat16", 1e-2)],
)
def test_a_network_may_differ_by_rounding(
    refitted: Refitted, gpu: str | None, precision: str, tolerance: float
) -> None:
    training = refitted.study.training.model_copy(update={"precision": precision})
    study = refitted.study.model_copy(update={"training": training})
    assert study.training.compute.precision == precision
    assert module._tolerance(study, Placement(1, gpu)) == tolerance


@pytest.mark.slow
def test_networks_say_what_they_said_and_the_same_in_any_batches(
    finished: Finished, refit: Callable[..., Refitted], tmp_path: Path
) -> None:
    home = Home.at(shutil.copytree(finished.home.root, tmp_path / "home"))
    cohort = Path(str(finished.study.cohort))
    made = refit(home, "toy", cohort, seeds=2)
    with made.ledger() as ledger:
        folder = build(made.plan, ledger, made.recorded, home, "toy")
        found = verify(folder, made.plan, ledger, home, HERE)
        assert build(made.plan, ledger, made.recorded, home, "toy") == folder
    assert found.members == 2 * len(made.plan.configs)
    assert found.largest <= found.tolerance
    predictor, patches = Model.open(folder).predictor(), made.material.patches
    whole = predictor.say(Shown(patches))
    parts = [predictor.say(Shown(patches.take(rows))) for rows in np.array_split(np.arange(len(patches)), 7)]
    np.testing.assert_allclose(
        np.concatenate([part.probability for part in parts]), whole.probability, rtol=0, atol=1e-6
    )
    assert (whole.spread > 0).all()
