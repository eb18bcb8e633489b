"""Naming patterns guessed from the names of images, for a user to confirm or to correct.

Folders that differ are participants, then sessions, unless their names are those of sequences. In a file's
name what the folders say already is recognised, what all names begin or end with is kept as it is, and the
rest is the sequence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

_SUFFIX = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_MARKS = "_-. "
_SPLIT = re.compile(r"[_\-. ]+")
_DAY = re.compile(r"(ses-?)?(19|20)\d\d(?P<mark>[-._]?)(0[1-9]|1[0-2])(?P=mark)([0-2]\d|3[01])(\D.*)?")
_DATE = re.compile(
    r"(ses-?)?(19|20)\d\d([-._]?\d\d([-._]?\d\d.*)?)?|(ses|visit|tp|baseline|followup|scan)-?\w*"
)

KNOWN: Final = (
    *("t1", "t1w", "t1n", "t1c", "t1gd", "t1ce", "t1post", "t1pre", "t1km", "mprage", "t2", "t2w", "t2f"),
    *("t2star", "flair", "pd", "fa", "md", "ad", "rd", "adc", "dwi", "dti", "trace", "swi", "cbv", "rcbv"),
    *("srcbv", "cbf", "mtt", "tmax", "ktrans", "asl", "perfusion", "dsc", "dce", "pet", "epi", "seg", "mask"),
    *("brain", "brainmask", "tumor", "tumour", "lesion"),
)
"""Words of sequences and masks in file names, in lower case."""

# Folders that say what kind of image is in them, as in BIDS.
_KINDS = frozenset({"anat", "dwi", "perf", "nifti", "nii", "mri", "mr", "images", "masks", "dti", "seg"})


def guess_patterns(labels: Sequence[str]) -> tuple[str, ...]:
    """Guess the naming patterns of images, one for each depth of folders.

    Args:
        labels: Paths with forward slashes, ending in .nii or .nii.gz.

    >>> guess_patterns(["P1/2019-01-02/T1_reg.nii.gz", "P2/2019-03-04/FA_reg.nii.gz"])
    ('{participant_id}/{session}/{sequence}_reg',)
    """
    depths: dict[int, list[list[str]]] = defaultdict(list)
    for label in labels:
        *folders, name = label.split("/")
        depths[len(folders)].append([*folders, _SUFFIX.sub("", name)])
    return tuple(_guess(paths) for _, paths in sorted(depths.items()))


def _guess(paths: list[list[str]]) -> str:
    """The pattern of paths of one depth."""
    roles = _roles([[path[level] for path in paths] for level in range(len(paths[0]) - 1)])
    if "{participant_id}" in roles and "{sequence}" not in roles:
        level = roles.index("{participant_id}")
        end = _end_of_folders([path[level] for path in paths], [path[-1] for path in paths])
        cut = [[*path[:level], path[level].removesuffix(end), *path[level + 1 :]] for path in paths]
        named = _stem(cut, roles)
        roles[level] += end
        return "/".join([*roles, named])
    if "{participant_id}" not in roles:
        return "/".join([*roles, _flat([path[-1] for path in paths], "{sequence}" in roles)])
    return "/".join([*roles, "*"])


def _end_of_folders(folders: Sequence[str], names: Sequence[str]) -> str:
    """What participants' folders all have behind that with which the names in them begin.

    >>> _end_of_folders(["P-1_nifti", "P-2_nifti"], ["P-1_T1", "P-2_T1"])
    '_nifti'
    """
    ends = set()
    for folder, name in zip(folders, names, strict=True):
        same = _to_mark(_common([folder, name]))
        ends.add(folder[len(same) - 1 :] if same else "")
    end = ends.pop()
    return "" if ends or any(mark.isdigit() for mark in end) or not _to_mark(end) else end


def _roles(levels: Sequence[Sequence[str]]) -> list[str]:
    """What each level of folders is: constant, participant, session, sequence, or anything."""
    roles: list[str] = []
    dated = any(map(_are_days, levels))
    for level, values in enumerate(levels):
        kinds = {value.lower() for value in values}
        further = any(map(_may_be_people, levels[level + 1 :]))
        if _are_days(values) and "{session}" not in roles and ("{participant_id}" in roles or further):
            roles.append("{session}")
        elif (
            len(kinds) == 1
            and len(values) > 1
            and "{participant_id}" not in roles
            and len(levels) > 1
            and (further or not dated)
        ):
            roles.append(values[0])
        elif kinds <= _KINDS:
            roles.append(values[0] if len(kinds) == 1 else "*")
        elif all(_is_known(kind) for kind in kinds) and "{sequence}" not in roles:
            roles.append("{sequence}")
        elif "{participant_id}" not in roles:
            roles.append("{participant_id}")
        elif "{session}" not in roles and (len(kinds) > 1 or _DATE.fullmatch(values[0].lower())):
            roles.append("{session}")
        else:
            roles.append(values[0] if len(kinds) == 1 else "*")
    return roles


def _are_days(values: Iterable[str]) -> bool:
    return all(_DAY.fullmatch(value.lower()) for value in values)


def _may_be_people(values: Iterable[str]) -> bool:
    """Whether folders may be participants, as they are no kinds of images, sequences or days."""
    kinds = {value.lower() for value in values}
    return not kinds <= _KINDS and not all(map(_is_known, kinds)) and not _are_days(kinds)


def _is_known(text: str) -> bool:
    """Whether a word of a text names a sequence.

    >>> _is_known("t1_post"), _is_known("p001")
    (True, False)
    """
    return any(word in KNOWN for word in _SPLIT.split(text.lower()))


def _stem(paths: Sequence[Sequence[str]], roles: Sequence[str]) -> str:
    """The pattern of the files' names, where folders tell the participant."""
    before = ""
    rests = [path[-1] for path in paths]
    for role in ("{participant_id}", "{session}", "{participant_id}"):
        if role in roles and role not in before:
            level = roles.index(role)
            cut = _without(rests, [path[level] for path in paths])
            if cut is not None:
                rests, mark = cut
                before += f"{role}{mark}"
    head, tail = _shared(rests)
    return f"{before}{head}{{sequence}}{tail}"


def _without(rests: Sequence[str], values: Iterable[str]) -> tuple[list[str], str] | None:
    """The texts without a value that each begins with, and the mark behind it."""
    new, marks = [], set()
    for rest, value in zip(rests, values, strict=True):
        behind = rest[len(value) :]
        if not rest.startswith(value) or not behind or behind[0] not in _MARKS:
            return None
        marks.add(behind[0])
        new.append(behind[1:])
    return (new, marks.pop()) if len(marks) == 1 else None


def _shared(rests: Sequence[str]) -> tuple[str, str]:
    """What all texts begin and end with, up to a mark, but words of sequences; nothing of a single text."""
    distinct = sorted(set(rests))
    if len(distinct) < 2:
        return "", ""
    head = _to_mark(_common(distinct))
    head = "" if _is_known(head) else head
    tail = _to_mark(_common([text[len(head) :][::-1] for text in distinct]))[::-1]
    return head, "" if _is_known(tail) else tail


def _common(texts: Sequence[str]) -> str:
    """What all texts begin with, letter by letter."""
    first, last = min(texts), max(texts)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:same]


def _to_mark(text: str) -> str:
    """A text up to its last mark, including it."""
    return text[: max((text.rfind(mark) for mark in _MARKS), default=-1) + 1]


def _flat(stems: Sequence[str], has_sequence: bool) -> str:
    """The pattern of names that hold the participant themselves."""
    if has_sequence:
        return "{participant_id}"
    words = [stem.split("_") for stem in stems]
    if min(map(len, words)) < 2:
        mark = next((mark for mark in "-. " if all(mark in stem for stem in stems)), "_")
        return f"{{participant_id}}{mark}{{sequence}}"
    dated = all(len(word) > 2 and _DATE.fullmatch(word[1].lower()) for word in words)
    before = "{participant_id}_{session}_" if dated else "{participant_id}_"
    skipped = 2 if dated else 1
    head, tail = _shared(["_".join(word[skipped:]) for word in words])
    return f"{before}{head}{{sequence}}{tail}"
