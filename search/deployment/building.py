"""From fits that are made to a model folder that was explained, described and asked again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import optuna

from data_prep.problems import InputError
from search.deployment.card import write_card
from search.deployment.crossfit import check_booked
from search.deployment.facts import CARD, FILE
from search.deployment.folder import Furnish, build, tops_of
from search.deployment.member import member_folder
from search.deployment.model import Model
from search.deployment.plan import RefitPlan
from search.deployment.unlike import read_reference
from search.deployment.verification import OtherwiseError, Verification, verify
from search.errors import StudyStoppedError
from search.explaining.explain import explain
from search.explaining.explanations import FOLDER, Explanations
from search.explaining.pictures import write_explanations
from search.home import Home
from search.placement import Placement
from search.refits.ledger import FitLedger
from search.terminal import counting


def build_model(
    plan: RefitPlan,
    ledger: FitLedger,
    recorded: optuna.Study,
    home: Home,
    name: str,
    out: Path | None,
    placement: Placement,
    explained: bool = True,
) -> tuple[Model, Verification]:
    """Write a model folder with its explanations and its card, and have a fresh process ask it again.

    Args:
        plan: All its fits were run.
        ledger: Has what they gave.
        recorded: What Optuna has of the study.
        home: Where it is.
        name: Of the model.
        out: Where the folder will be; None for the next version in the home. One that is this very model
            already stays as it is.
        placement: Where the process runs that asks it again.
        explained: Whether to occlude and permute; without models of the folds there is nothing to do that by.

    Raises:
        InputError: The folder is taken, or the cohort was changed meanwhile.
        StudyStoppedError: The folder says otherwise than its models did when they were fitted. A new one is
            not left then, nor the kept models of which that holds: the next call fits these again.
    """
    found: list[Verification] = []

    def ask(folder: Path) -> None:
        with counting("asking the model again: member") as progress:
            found.append(verify(folder, plan, ledger, home, placement, progress))

    is_explained = explained and bool(plan.folds)
    if out is not None and _lack(out, plan, name, explained) == "":
        folder = out
    else:
        with ExitStack() as bar:
            progress = bar.enter_context(counting("describing images: participant"))
            furnish, furnishes = _furnishing(plan, home, is_explained, bar.close), _furnishes(is_explained)
            check = partial(_check_new, ask, plan, home)
            folder = build(plan, ledger, recorded, home, name, out, progress, furnish, furnishes, check)
    if not found:  # it was there already
        try:
            ask(folder)
        except OtherwiseError as error:
            raise StudyStoppedError(
                f"{folder}: {error}. Remove the folder: the same call makes it again"
            ) from error
    return Model.open(folder), found[0]


def check_buildable(plan: RefitPlan, ledger: FitLedger, name: str, out: Path | None, explained: bool) -> None:
    """Refuse, before any fit, what `build_model` would refuse after all of them; arguments as there.

    Raises:
        InputError: Out-of-fold predictions are missing that nothing planned will give; `out` holds another
            model, a damaged one, or this one without what is asked for.
    """
    check_booked(plan, ledger)
    if out is None or not (out / FILE).is_file():
        return
    lack = _lack(out, plan, name, explained)
    if lack:
        raise InputError(
            f"--out: an absent or empty folder, or this very model, is needed, but {out} holds {lack}. "
            "Choose another place."
        )


def _check_new(ask: Callable[[Path], None], plan: RefitPlan, home: Home, folder: Path) -> None:
    """Ask a folder that has no name yet; kept models that do not say what they said are dropped."""
    try:
        ask(folder)
    except OtherwiseError as error:
        kept = [member_folder(home, plan.study.name, fit) for fit in error.fits]
        for place in kept:
            shutil.rmtree(place)
        raise StudyStoppedError(
            f"{error}. No model folder was written. Removed: {', '.join(map(str, kept))}. "
            "The same call fits what was removed again"
        ) from error


def _furnishes(is_explained: bool) -> tuple[str, ...]:
    return (CARD, FOLDER) if is_explained else (CARD,)


def _lack(out: Path, plan: RefitPlan, name: str, explained: bool) -> str | None:
    """What keeps a folder from being this model, in words; "" where it is: an earlier call may have made it.

    None where there is no model at all.
    """
    if not (out / FILE).is_file():
        return None
    facts = Model.open(out).facts
    fits = {fit.key for fit in plan.fits}
    if (facts.name, facts.training.context) != (name, plan.context):
        return "another model"
    if fits != {member.fit for member in facts.members}:
        return "a model of other fits"
    has = {place.split("/")[0] for place in facts.files}
    lacking = tops_of(bool(plan.folds), _furnishes(explained and bool(plan.folds))) - has
    return f"it without {', '.join(sorted(lacking))}" if lacking else ""


def _furnishing(plan: RefitPlan, home: Home, explained: bool, is_described: Callable[[], None]) -> Furnish:
    """What adds explanations and the card to a folder before it is sealed; images are described by then."""

    def furnish(folder: Path, model: Model) -> None:
        is_described()  # else two bars would write over each other
        found: Explanations | None = None
        if explained:
            with counting("explaining: patch") as progress:
                found = explain(model, plan, home.cache, progress)
            write_explanations(folder, found)
        write_card(folder, model.facts, found, read_reference(folder).cut)

    return furnish
