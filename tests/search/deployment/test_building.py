"""A model folder is explained, has a card, and says in a fresh process what its models said."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.deployment.building import build_model, check_buildable
from search.deployment.facts import CARD
from search.deployment.verification import OtherwiseError
from search.errors import StudyStoppedError
from search.explaining.explanations import read_explanations
from search.home import Home
from search.refits.crew import missing_fits
from tests.search.deployment.conftest import HERE, Refitted


def test_a_folder_is_furnished_and_verified_and_an_equal_one_is_not_made_again(
    refitted: Refitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, home, recorded = refitted.plan, refitted.home, refitted.recorded
    with refitted.ledger() as ledger:
        model, verified = build_model(plan, ledger, recorded, home, "mine", tmp_path / "m", HERE[0])
        assert (verified.members, verified.biopsies, verified.largest) == (3, 36, 0.0)
        found = read_explanations(model.folder)
        assert found is not None
        assert found.labels == model.labels
        assert model.facts.files.keys() >= {CARD, "explanations/explanations.json"}
        card = (model.folder / CARD).read_text()
        assert "esearch use only" in card
        assert "sub-0" not in card
        monkeypatch.setattr("search.deployment.building.verify", lambda *_: verified)  # once is enough
        again, _ = build_model(plan, ledger, recorded, home, "mine", tmp_path / "m", HERE[0])
        assert again.facts == model.facts
        with pytest.raises(InputError, match=r"Choose another place|is needed"):
            build_model(plan, ledger, recorded, home, "other", tmp_path / "m", HERE[0])


def test_a_folder_that_was_changed_is_not_taken_for_the_same(
    refitted: Refitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.deployment.building.verify", lambda *_: None)
    with refitted.ledger() as ledger:
        args = (refitted.plan, ledger, refitted.recorded, refitted.home, "mine", tmp_path / "m", HERE[0])
        model, _ = build_model(*args, explained=False)
        assert read_explanations(model.folder) is None
        (model.folder / CARD).write_text("for the clinic")
        with pytest.raises(InputError, match=r"README\.md"):
            build_model(*args, explained=False)


def test_a_folder_that_says_otherwise_is_not_left_and_its_kept_models_are_fitted_again(
    refitted: Refitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.at(shutil.copytree(refitted.home.root, tmp_path / "home"))
    plan, last = refitted.plan, refitted.plan.final[2][0]
    before = sorted(home.models.rglob("*"))

    def otherwise(*_: object) -> None:
        raise OtherwiseError("probabilities of members/x differ by up to 0.3", [last])

    monkeypatch.setattr("search.deployment.building.verify", otherwise)
    with refitted.ledger() as ledger:
        args = (plan, ledger, refitted.recorded, home, "mine")
        with pytest.raises(StudyStoppedError, match=f"No model folder was written.*{last.key}"):
            build_model(*args, None, HERE[0], explained=False)
        assert list((home.models / "mine").iterdir()) == []
        assert [path for path in sorted(home.models.rglob("*")) if path.name != "mine"] == before
        assert missing_fits(plan.fits, ledger, refitted.study, home) == [last]


def test_what_could_only_fail_after_all_fits_is_refused_before(
    refitted: Refitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.deployment.building.verify", lambda *_: None)
    plan, out = refitted.plan, tmp_path / "m"
    with refitted.ledger() as ledger:
        check_buildable(plan, ledger, "mine", out, explained=True)
        build_model(plan, ledger, refitted.recorded, refitted.home, "mine", out, HERE[0], explained=False)
        check_buildable(plan, ledger, "mine", out, explained=False)
        with pytest.raises(InputError, match="holds it without explanations"):
            check_buildable(plan, ledger, "mine", out, explained=True)
        with pytest.raises(InputError, match="holds another model"):
            check_buildable(plan, ledger, "other", out, explained=False)
        with pytest.raises(InputError, match="holds a model of other fits"):
            check_buildable(replace(plan, folds=()), ledger, "mine", out, explained=False)
        (out / CARD).write_text("damaged")
        with pytest.raises(InputError, match=r"README\.md"):
            check_buildable(plan, ledger, "mine", out, explained=False)
        fewer = tuple({k: v for k, v in booked.items() if k != 1} for booked in plan.booked)
        with pytest.raises(InputError, match="Leave out --skip-folds"):
            check_buildable(replace(plan, folds=(), booked=fewer), ledger, "mine", None, explained=False)
