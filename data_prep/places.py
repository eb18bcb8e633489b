"""Where the files of a cohort really lie: which are there, and which links lead where they must not.

Links inside the cohort's folder are followed, as data sets under git-annex and DataLad are made of them. A
link that leads out of it is refused unless cohort.toml says `follow_links = true`. A path that cohort.toml
spells out, absolute or with `..`, is no link: what lies there is held against the last folder spelt out.
Paths are read as the kernel does, where `..` behind a link starts at what the link leads to.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath

from data_prep.plain_files import is_plain, kind_of

MAX_NAME_BYTES = 255
"""Of a file or folder on all file systems in use."""

# Where git-annex keeps content; that of a submodule lies in the repository above it.
_ANNEX = re.compile(r"(?P<repository>.*?)/\.git/(modules/.+/)?annex/objects/")


def is_plain_name(value: str) -> bool:
    """Whether a text can be one part of a path, on any system, and never leaves the folder before it.

    >>> is_plain_name("sub-001"), is_plain_name(".."), is_plain_name("a/b")
    (True, False, False)
    """
    return (
        value.strip() not in ("", ".", "..")
        and value.isprintable()
        and not set("/\\:") & set(value)
        and len(value.encode()) <= MAX_NAME_BYTES
    )


@dataclass(frozen=True)
class Place:
    """What was found at a path.

    Attributes:
        usable: Whether a plain file is there that may be read.
        problem: What is wrong with what is there; None too where nothing is.
        where: Where it is wrong: the path, or the link on the way to it.
    """

    usable: bool
    problem: str | None
    where: Path


class Places:
    """What lies at the paths of one cohort; where its links lead is looked up once.

    Args:
        root: The cohort's folder.
        follow_links: Whether links may lead out of it.
    """

    def __init__(self, root: Path, follow_links: bool) -> None:
        self._root = root.absolute()  # as given: neither links nor ".." resolved
        self._follow = follow_links
        self._known: dict[Path, Place] = {}
        self._folders: dict[tuple[Path, str], tuple[Path, Path]] = {}

    def at(self, path: Path, template: str) -> Place:
        """What lies at a path.

        Args:
            path: From the cohort's folder, or absolute.
            template: The text of cohort.toml that it was made from.
        """
        known = self._known.get(path)
        if known is not None and (known.problem is not None or (known.usable and is_plain(path))):
            return known
        self._known[path] = self._look(path, template)
        return self._known[path]

    def _look(self, path: Path, template: str) -> Place:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return _absent(path)
        except OSError as error:
            circle = error.errno == errno.ELOOP
            what = "a link must lead to a file, but it goes in a circle." if circle else _unreadable(error)
            return Place(False, what, path)
        if not stat.S_ISREG(mode):
            return Place(False, f"a plain file is needed, but got {kind_of(mode)}.", path)
        real, base = self._real_and_base(path, template)
        if self._follow or real.is_relative_to(base):
            return Place(True, None, path)
        target = os.path.realpath(path)
        return Place(False, f"must lie in {base}, but a link leads to {target}. {self._advice(target)}", path)

    def _advice(self, target: str) -> str:
        """What to do about a link that leads out to `target`."""
        annex = _ANNEX.match(target)
        if annex and Path(os.path.realpath(self._root)).is_relative_to(annex["repository"]):
            return (
                f"The cohort lies in the DataLad or git-annex data set {annex['repository']}, which keeps "
                "content there: set follow_links = true in cohort.toml, which is safe here."
            )
        return "If that is meant, set follow_links = true in cohort.toml."

    def _real_and_base(self, path: Path, template: str) -> tuple[Path, Path]:
        """A file's folder, or the file itself where it is a link, and the folder that it must lie in."""
        key = (path.parent, template)
        if key not in self._folders:
            inside = _folded(path.parent.absolute()).is_relative_to(_folded(self._root))
            base = self._root if inside else self._root / _written_out(template)
            self._folders[key] = Path(os.path.realpath(path.parent)), Path(os.path.realpath(base))
        real, base = self._folders[key]
        return (Path(os.path.realpath(path)) if path.is_symlink() else real), base


def _written_out(template: str) -> PurePath:
    """The folders of a template before its first placeholder that no `..` takes back.

    >>> _written_out("../raw/{participant_id}/T1.nii"), _written_out("{participant_id}/../../raw/T1.nii")
    (PurePosixPath('../raw'), PurePosixPath('../raw'))
    """
    folders: list[str] = []
    for part in PurePath(template).parts[:-1]:
        if part == ".." and folders and "{" in folders[-1]:
            folders.pop()
        else:
            folders.append(part)
    first = next((number for number, part in enumerate(folders) if "{" in part), len(folders))
    return PurePath(*folders[:first])


def _folded(path: Path) -> Path:
    """A path with its `..` taken by the letter, as its author reads it."""
    return Path(os.path.normpath(path))


def _unreadable(error: OSError) -> str:
    return f"the file must be readable, but got '{error.strerror}'."


def _absent(path: Path) -> Place:
    """Nothing at all is there, or a link on the way leads nowhere."""
    for part in (path, *path.parents):
        if not os.path.lexists(part):
            continue
        if not part.is_symlink() or part.exists():
            break
        target = part.readlink()
        annexed = {"annex", "objects"} <= set(target.parts)
        hint = "Fetch its content: datalad get, or git annex get." if annexed else "Mend it or remove it."
        return Place(False, f"a link must lead to something, but {target} is not there. {hint}", part)
    return Place(False, None, path)
