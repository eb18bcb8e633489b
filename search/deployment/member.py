"""A fitted model in a folder of its own: written by the process that fitted it, and asked again."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.features import FeatureTable
from data_prep.features.extract import features_of
from data_prep.files import make_folders, naming, sync_file, sync_folder
from data_prep.fold_input import FoldInput
from data_prep.patch_set import PatchSet
from data_prep.plain_files import read_plain
from data_prep.problems import InputError
from data_prep.saved_input import read_input
from models.errors import ModelError
from models.quiet import quiet_loading
from models.saved_baseline import read_baselines
from models.shallow_fit import FittedBaseline
from search.deployment.member_facts import FileFacts, MemberFacts, facts_of
from search.deployment.records import Said, Shown
from search.fold import BASELINE, INPUT, NETWORK
from search.home import Home
from search.refits.fit import Fit

if TYPE_CHECKING:
    from models.saved_network import SavedNetwork

__all__ = ["Member", "MemberFacts", "facts_of", "member_folder", "members_folder", "write_member"]

FACTS = "member.json"
MOST_FACTS = 2**20  # bytes
_PARTIAL = ".partial"


def members_folder(home: Home, study: str) -> Path:
    """Where the models of a study's kept fits lie."""
    return home.study(study).root / "refits" / "members"


def member_folder(home: Home, study: str, fit: Fit) -> Path:
    """Where the model of a kept fit lies."""
    return members_folder(home, study) / fit.key


def is_written(folder: Path, context: str) -> bool:
    """Whether a folder holds, whole, the model of a fit under a context (`search.refits.fit.context_of`)."""
    try:
        facts = _facts(folder)
    except InputError:
        return False
    if facts.context != context or facts.files.keys() != {INPUT, _model(facts)}:
        return False
    return all(_is_whole(folder / name, told) for name, told in facts.files.items())


def write_member(folder: Path, facts: MemberFacts, write: Callable[[Path], None] | None) -> None:
    """Write a model, whole or not at all, in place of an earlier one.

    Args:
        folder: Where.
        facts: What it is.
        write: Writes its files into the folder that it is given (`search.fold.Scored.write`).

    Raises:
        ModelError: It is none that would load again.
        OSError: It cannot be written; the error names the folder.
    """
    if write is None:
        raise ValueError("a model that is kept needs a way to write it, but got none")
    with naming(folder), _replacing(folder) as partial:
        write(partial)
        files = {path.name: _told(path) for path in sorted(partial.iterdir()) if path.name != FACTS}
        (partial / FACTS).write_text(replace(facts, files=files).to_json(), encoding="utf-8")
        for path in partial.iterdir():
            sync_file(path)


def sweep(members: Path) -> None:
    """Remove what writers left that were killed; none may be at work."""
    for path in members.glob(f".*{_PARTIAL}"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A folder to write to that takes the place of another when the block ends well."""
    make_folders(folder.parent)
    partial, former = (folder.with_name(f".{folder.name}.{uuid4().hex}{_PARTIAL}") for _ in range(2))
    try:
        partial.mkdir()
        yield partial
        if folder.exists():
            folder.replace(former)
        partial.replace(folder)
        sync_folder(folder.parent)
    finally:
        for rest in (partial, former):
            shutil.rmtree(rest, ignore_errors=True)


class Member:
    """A fitted model and what it says; get one by `Member.open`."""

    def __init__(self, folder: Path, facts: MemberFacts, view: FoldInput) -> None:
        self._folder, self.facts, self._view = folder, facts, view

    @classmethod
    def open(cls, folder: Path) -> Member:
        """Open the folder that `write_member` wrote; nothing in it runs.

        The weights are read when they are first asked.

        Raises:
            InputError: A file is absent, damaged, or says what cannot be.
        """
        facts, view = _facts(folder), read_input(folder / INPUT)
        if facts.kind == "network" and view.radius != facts.radius:
            raise InputError(
                f"{folder}: the radius must be the same in {FACTS} and {INPUT}, but got {facts.radius} and "
                f"{view.radius}. Make the model again: radsearch refit"
            )
        return cls(folder, facts, view)

    @property
    def reads_location(self) -> bool:
        """Whether `Shown.location` is needed."""
        return self.facts.reads_location

    @property
    def view(self) -> FoldInput:
        """What it is shown of patches."""
        return self._view

    def say(self, shown: Shown) -> Said:
        """What the model says, by the code that scored it when it was fitted.

        Args:
            shown: n places; patches by the request that it learned from, or of another radius that is large
                enough; with locations where `reads_location`.

        Raises:
            InputError: The patches are too small.
            ModelError: Its file is damaged or not what it must be.
        """
        outputs = self._outputs(shown)
        return Said(self.facts.probability(outputs), self.facts.value(outputs))

    def _outputs(self, shown: Shown) -> DoubleArray:
        """What the model itself says, shape (n, K)."""
        if self.facts.kind == "network":
            return self._network.predict(self._view.images(shown.patches))
        features = self._features(self._view.normalised(shown.patches), shown.location)
        return np.stack([model.predict(features.values) for model in self._baselines], axis=1)

    def _features(self, patches: PatchSet, location: FeatureTable | None) -> FeatureTable:
        if self.facts.features == "none":
            return FeatureTable(np.empty((len(patches), 0)), ())
        return features_of(self.facts.features, patches, self.facts.radius, location)

    @cached_property
    def _network(self) -> SavedNetwork:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with quiet_loading():
            from models.saved_network import SavedNetwork

        return SavedNetwork.open(self._folder / NETWORK, self.facts.task)

    @cached_property
    def _baselines(self) -> list[FittedBaseline]:
        found, count = read_baselines(self._folder / BASELINE), len(self.facts.labels)
        if len(found) != count:
            raise ModelError(
                f"{self._folder / BASELINE}: a model of each label, {count}, is needed, but got {len(found)}"
            )
        return found


def _model(facts: MemberFacts) -> str:
    return NETWORK if facts.kind == "network" else BASELINE


def _facts(folder: Path) -> MemberFacts:
    path = folder / FACTS
    try:
        return MemberFacts.from_json(read_plain(path, MOST_FACTS).decode())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: a member's facts are needed, but: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _told(path: Path) -> FileFacts:
    with path.open("rb") as stream:
        return FileFacts(path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())


def _is_whole(path: Path, told: FileFacts) -> bool:
    """Whether a file is as it was written; of one that has another size the content is not read."""
    try:
        return path.stat().st_size == told.size and _told(path) == told
    except OSError:
        return False
