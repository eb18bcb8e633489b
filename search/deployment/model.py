"""A model folder: opened only where every file is there, unchanged, and no other beside them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Final

from data_prep.patch_set import PatchRequest
from data_prep.plain_files import kind_of, read_plain
from data_prep.problems import InputError, Problems
from search.deployment.facts import FILE, ModelFacts, is_place
from search.deployment.member import Member
from search.deployment.predictor import Predictor, SharedInput
from search.deployment.unlike import Reference, read_reference, reference_of_facts
from search.fold import INPUT

MAX_FACTS: Final = 2**27
"""Bytes of a model.json: a thousand biopsies, thirty configurations, ten labels and ten folds take half."""

MAX_FILE: Final = 2**33
"""Bytes of any other file: a hundred times those of a ResNet50."""

MAX_FILES: Final = 100_000

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE: Final = 2**20
_HASHERS: Final = 4  # files read side by side; hashing releases the interpreter lock


class Model:
    """A model that `radsearch refit` wrote; open one by `Model.open`.

    Args:
        folder: Where it lies.
        facts: What it says of itself.
    """

    def __init__(self, folder: Path, facts: ModelFacts) -> None:
        self.folder, self.facts = folder, facts

    @classmethod
    def open(cls, folder: Path) -> Model:
        """Open a model folder; nothing in it runs, and nothing outside it is read.

        Raises:
            InputError: There is no model.json, or of another version; a file that is missing, was changed, is
                a link or is not listed; a line each.
        """
        facts = _facts(folder)
        check_files(folder, facts.files)
        return cls(folder, facts)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the K labels."""
        return self.facts.label_names

    @property
    def request(self) -> PatchRequest:
        """What is cut out of images for it."""
        return self.facts.request

    @property
    def folds(self) -> int:
        """How many folds it has members of; 0 where they were left out."""
        return self.facts.folds

    @cached_property
    def _reference(self) -> Reference:
        return read_reference(self.folder)

    def _reference_of(self, fold: int | None) -> Reference:
        """What the members of a fold learned from; of None all training patches."""
        if fold is None:
            return self._reference
        try:
            return reference_of_facts(self.facts.fold_references[fold], self._reference)
        except InputError as error:
            raise InputError(f"{self.folder / FILE}: fold_references.{fold}: {error}") from error

    def predictor(self, fold: int | None = None) -> Predictor:
        """The members that answer for new participants, or for those held out in a fold.

        Args:
            fold: Its number, from 0; None for new participants.

        Raises:
            InputError: There are no members of that fold, or a file of one is not what it must be.
        """
        facts = self.facts
        if fold is not None and not 0 <= fold < facts.folds:
            there = f"those of folds 0 to {facts.folds - 1}" if facts.folds else "none of any fold"
            raise InputError(f"{self.folder}: members of fold {fold} are needed, but it has {there}")
        ensemble = facts.ensemble if fold is None else facts.fold_ensembles[fold]
        entries = facts.members_of(fold)
        members = self._members([entry.folder for entry in entries])
        sizes = [_size(self.folder / entry.folder) for entry in entries]
        return Predictor(facts, entries, members, sizes, ensemble, self._reference_of(fold))

    def _members(self, folders: list[str]) -> list[Member]:
        """The members in some folders; those that read the same input share it."""
        opened = [Member.open(self.folder / folder) for folder in folders]
        self._check_members(folders, opened)
        shared: dict[str, SharedInput] = {}
        members = []
        for folder, member in zip(folders, opened, strict=True):
            view = shared.setdefault(hash_of(self.folder / folder / INPUT), SharedInput.of(member.view))
            members.append(Member(self.folder / folder, member.facts, view))
        return members

    def _check_members(self, folders: list[str], members: list[Member]) -> None:
        """Members answer for the labels of the model, by its task."""
        problems, needed = Problems(), (self.facts.label_names, self.facts.task)
        for folder, member in zip(folders, members, strict=True):
            told = member.facts.labels, member.facts.task
            if told != needed:
                problems.add(
                    str(self.folder / folder), f"labels and task {needed} are needed, but got {told}"
                )
        problems.raise_any()


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Hold a folder against the list of its files.

    Args:
        folder: The folder.
        files: sha256 of each file beside `model.json`, by its place with forward slashes.

    Raises:
        InputError: A line for each file that is missing, changed, no plain file, or not listed.
    """
    problems = Problems()
    for name in sorted(files):
        if name == FILE or not is_place(name) or not _SHA256.fullmatch(files[name]):
            problems.add(
                f"{folder / FILE}", f"files: a place in the folder and a sha256 are needed for {name!r}"
            )
    problems.raise_any()
    found = dict(_walk(folder, problems))
    for name in sorted(found.keys() - files.keys() - {FILE}):
        problems.add(str(folder / name), f"{FILE} does not list it. Remove it, or make the model again")
    for name in sorted(files.keys() - found.keys()):
        problems.add(
            str(folder / name), f"{FILE} lists it, but it is missing. Bring it back, or make it again"
        )
    there = sorted(files.keys() & found.keys())
    with ThreadPoolExecutor(_HASHERS) as pool:
        for name, told in zip(there, pool.map(lambda n: _hashed(folder / n), there), strict=True):
            if told != files[name]:
                law = f"it has sha256 {told}, but {FILE} says {files[name]}"
                problems.add(str(folder / name), f"{law}. Bring the file back, or make the model again")
    problems.raise_any()


def hashes_of(folder: Path) -> dict[str, str]:
    """sha256 of every file of a folder but `model.json`, by its place in it.

    Raises:
        InputError: Something in it is no plain file.
    """
    problems = Problems()
    names = sorted(name for name, _ in _walk(folder, problems) if name != FILE)
    problems.raise_any()
    return {name: hash_of(folder / name) for name in names}


def hash_of(path: Path) -> str:
    """sha256 of a file's content.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _facts(folder: Path) -> ModelFacts:
    """What a folder says of itself."""
    path = folder / FILE
    if path.is_symlink() or not path.is_file():
        what = "a link" if path.is_symlink() else "none"
        raise InputError(
            f"{folder}: a model folder has a plain {FILE}, but there is {what}. Make one: radsearch refit"
        )
    try:
        text = read_plain(path, MAX_FACTS).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: it must be readable, but got: {error}") from error
    try:
        return ModelFacts.from_json(text)
    except InputError as error:
        raise InputError(f"{folder}: {line}" for line in error.problems) from error


def _walk(folder: Path, problems: Problems) -> Iterator[tuple[str, int]]:
    """Place and size of each file below a folder; what is neither a plain file nor a folder is a problem."""
    count = 0
    for root, folders, names in os.walk(folder, onerror=_raise):
        for name in (*folders, *names):
            path = Path(root) / name
            status = path.lstat()
            place = path.relative_to(folder).as_posix()
            if stat.S_ISLNK(status.st_mode):
                problems.add(
                    str(path), "files of a model folder lie in it, but this is a link. Copy its target"
                )
            elif stat.S_ISREG(status.st_mode):
                count += 1
                if status.st_size > MAX_FILE or count > MAX_FILES:
                    raise InputError(
                        f"{path}: at most {MAX_FILES} files of {MAX_FILE} bytes make a model, but got more"
                    )
                yield place, status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                problems.add(str(path), f"plain files are needed, but got {kind_of(status.st_mode)}")


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _raise(error: OSError) -> None:
    raise InputError(f"{error.filename}: the folder must be readable, but got '{error.strerror}'") from error


def _hashed(path: Path) -> str:
    """The hash of a file."""
    try:
        return hash_of(path)
    except OSError as error:
        return f"no content that can be read ({error.strerror})"
