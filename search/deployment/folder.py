"""From the fits of a plan to a model folder: members, how they answer together, and what they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import optuna

from data_prep.files import naming, sync_file, sync_folder
from data_prep.phantom.write import new_folder
from data_prep.problems import InputError, Problems
from search.deployment.crossfit import crossfit
from search.deployment.describing import describe_model
from search.deployment.facts import FILE, REFERENCE, REFERENCE_INPUT, MemberEntry, ModelFacts
from search.deployment.member import member_folder
from search.deployment.model import Model, hashes_of
from search.deployment.plan import RefitPlan
from search.deployment.unlike import Reference, fit_reference, write_reference
from search.deployment.versions import check_name, latest_folder, version_folder, versions_of
from search.home import Home
from search.refits.fit import Fit
from search.refits.ledger import FitLedger

MEMBERS: Final = "members"
FOLDS: Final = "folds"

Progress = Callable[[int, int], None]
Furnish = Callable[[Path, Model], None]


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a model folder is made of, before it is written.

    Attributes:
        facts: Without files.
        sources: Where each of its members was written.
        reference: The training patches.
    """

    facts: ModelFacts
    sources: tuple[Path, ...]
    reference: Reference


def build(
    plan: RefitPlan,
    ledger: FitLedger,
    recorded: optuna.Study,
    home: Home,
    name: str,
    out: Path | None = None,
    progress: Progress | None = None,
    furnish: Furnish | None = None,
    furnishes: Sequence[str] = (),
    check: Callable[[Path], None] | None = None,
) -> Path:
    """Write a model folder, whole or not at all.

    Without `out` it is the next version in the home. Where the newest there is the same model, but for when
    it was made, that one is returned and nothing is written.

    Args:
        plan: All its fits were run, and their models kept.
        ledger: Has what they gave.
        recorded: What Optuna has of the study.
        home: Where the study and its models are.
        name: Of the model.
        out: Where the folder will be, absent or empty; None for the home.
        progress: Called with participants done and in all while their images are read.
        furnish: Adds files (explanations, the card) to the folder before it is sealed; called with it and
            with the model in it.
        furnishes: Names of the files and folders that it adds at the top.
        check: Looks at the sealed folder before it has its name; what it raises leaves no folder.

    Returns:
        The folder.

    Raises:
        InputError: The name is none; a fit gave nothing; the folder is taken or cannot be written.
        OSError: The disk is full; nothing is left behind.
    """
    check_name(name)
    parts = _parts(plan, ledger, recorded, home, name, progress)
    if out is None:
        same = _same(home, parts.facts, furnishes)
        if same is not None:
            return same
        version = max(versions_of(home, name), default=0) + 1
        parts = replace(parts, facts=replace(parts.facts, version=version))
        out = version_folder(home, name, version)
    with new_folder(out) as folder:
        _write(folder.root, parts, furnish)
        if check is not None:
            check(folder.root)
    sync_folder(out.parent)
    return out


def _parts(
    plan: RefitPlan,
    ledger: FitLedger,
    recorded: optuna.Study,
    home: Home,
    name: str,
    progress: Progress | None,
) -> _Parts:
    """Everything that the folder says, decided before a file of it is written."""
    pairs = tuple(_members(plan))
    _check_fitted(pairs, ledger)
    entries = tuple(entry for entry, _ in pairs)
    material = plan.material
    fitted = crossfit(plan, ledger)
    facts = describe_model(plan, ledger, recorded, home, fitted, name, entries, progress)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return _Parts(
        facts=replace(facts, created=created),
        sources=tuple(member_folder(home, plan.study.name, fit) for _, fit in pairs),
        reference=fit_reference(material.patches, plan.learned, facts.request.radius, material.missing),
    )


def _members(plan: RefitPlan) -> Iterator[tuple[MemberEntry, Fit]]:
    """The members, those that learned from all first, then fold by fold, and the fit of each."""
    for number, (trial, fits) in enumerate(zip(plan.trials, plan.final, strict=True)):
        for seed, fit in enumerate(fits):
            place = f"{MEMBERS}/trial-{trial}-seed-{seed}"
            yield MemberEntry(place, number, fit.seed, None, fit.key), fit
    for position, split in enumerate(plan.splits if plan.folds else ()):
        for number, trial in enumerate(plan.trials):
            fit = plan.folds[number][position]
            place = f"{FOLDS}/{split.fold}/{MEMBERS}/trial-{trial}"
            yield MemberEntry(place, number, fit.seed, split.fold, fit.key), fit


def _check_fitted(pairs: Sequence[tuple[MemberEntry, Fit]], ledger: FitLedger) -> None:
    """Every fit must have given a model."""
    problems = Problems()
    for entry, fit in pairs:
        if fit not in ledger:
            problems.add(entry.folder, "its model must have been fitted, but was not")
        elif ledger.result(fit) is None:
            problems.add(entry.folder, f"its model could not be fitted: {ledger.failure(fit)}")
    problems.raise_any()


def _same(home: Home, facts: ModelFacts, furnishes: Sequence[str]) -> Path | None:
    """The newest version of a model where it is the same, whole, and furnished alike."""
    folder = latest_folder(home, facts.name)
    if folder is None:
        return None
    try:
        latest = Model.open(folder).facts
    except InputError:
        return None
    has = {name.split("/")[0] for name in latest.files}
    is_same = has == tops_of(bool(facts.fold_ensembles), furnishes) and latest.content == facts.content
    return folder if is_same else None


def tops_of(folded: bool, furnishes: Sequence[str]) -> set[str]:
    """What lies at the top of a model folder beside `model.json`, with members of the folds or without."""
    return {REFERENCE, REFERENCE_INPUT, MEMBERS, *((FOLDS,) if folded else ()), *furnishes}


def _write(root: Path, parts: _Parts, furnish: Furnish | None) -> None:
    """Fill a folder: members, reference, what is added to them, and at last what seals them."""
    for entry, source in zip(parts.facts.members, parts.sources, strict=True):
        shutil.copytree(source, root / entry.folder)
    write_reference(parts.reference, root)
    if furnish is not None:
        furnish(root, Model(root, parts.facts))
    sealed = replace(parts.facts, files=hashes_of(root))
    (root / FILE).write_text(sealed.to_json(), encoding="utf-8")
    for path in root.rglob("*"):
        with naming(path):
            sync_folder(path) if path.is_dir() else sync_file(path)
