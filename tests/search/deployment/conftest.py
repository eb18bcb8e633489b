"""A study of baselines with its models kept and a model folder of them, made once for the whole session."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest

from search.deployment.member import Member, member_folder
from search.deployment.plan import RefitPlan, plan_refit
from search.home import Home
from search.material import Material
from search.placement import Placement
from search.recorded import material_of, recorded_study
from search.records import FoldResult
from search.refits.crew import run_fits
from search.refits.fit import Fit
from search.refits.ledger import FitLedger
from search.study_file import Study

HERE = (Placement(1, None),)


@dataclass(frozen=True, eq=False)
class Refitted:
    """A finished study, `shallow` of tests/search/conftest.py, whose fits for a model are made."""

    home: Home
    recorded: optuna.Study
    study: Study
    material: Material
    plan: RefitPlan
    cohort: Path

    @contextmanager
    def ledger(self) -> Iterator[FitLedger]:
        """What the fits gave; one at a time may have it."""
        path = self.home.study(self.study.name).root / "refits" / "refit.jsonl"
        with FitLedger.open(path, self.plan.context) as ledger:
            yield ledger

    def booked(self, fit: Fit) -> FoldResult:
        """What a fit gave."""
        with self.ledger() as ledger:
            result = ledger.result(fit)
        assert result is not None
        return result

    def member(self, fit: Fit) -> Member:
        """The model of a fit."""
        return Member.open(member_folder(self.home, self.study.name, fit))


@pytest.fixture(scope="session")
def refit() -> Callable[..., Refitted]:
    """Make the fits of a study in a home, as `radsearch refit` does before it builds the folder."""

    def run(home: Home, name: str, cohort: Path, **options: object) -> Refitted:
        recorded, study = recorded_study(home, None, name, str(cohort))
        material = material_of(study, recorded, home)
        plan = plan_refit(recorded, study, material, **options)  # type: ignore[arg-type]
        made = Refitted(home, recorded, study, material, plan, cohort)
        with made.ledger() as ledger:
            run_fits(plan.fits, ledger, study, home, material, HERE, lambda *_: None)
        return made

    return run


@pytest.fixture(scope="session")
def refitted(
    shallow: Path, refit: Callable[..., Refitted], tmp_path_factory: pytest.TempPathFactory
) -> Refitted:
    """The fits, with those of the folds; not to be written to."""
    home = Home.at(shutil.copytree(shallow / "home", tmp_path_factory.mktemp("refitted") / "home"))
    return refit(home, "shallow", shallow / "cohort")


@pytest.fixture(scope="session")
def model_folder(refitted: Refitted) -> Path:
    """The model folder of `refitted`, in its home; not to be written to."""
    from search.deployment.folder import build

    with refitted.ledger() as ledger:
        return build(
            refitted.plan,
            ledger,
            refitted.recorded,
            refitted.home,
            refitted.study.name,
            None,
            lambda *_: None,
        )


@pytest.fixture(scope="session")
def refitted_home(refitted: Refitted, model_folder: Path) -> Home:
    """The home with the model; not to be written to."""
    return refitted.home
