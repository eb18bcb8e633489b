"""Naming patterns of images, such as `{participant_id}/{date}/{sequence}_reg.nii.gz`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from data_prep.cohort_file import IMAGE_SUFFIXES
from data_prep.importing.records import Catalogue, Found, ImportOptions, LeftOut
from data_prep.importing.rules import Rule, read_rules
from data_prep.importing.singles import keep_one_each
from data_prep.importing.walking import Walk
from data_prep.places import is_plain_name
from data_prep.problems import InputError, Problems
from data_prep.records import MASKS

PLACEHOLDERS: Final = {
    "participant_id": "participant_id",
    "participant": "participant_id",
    "session": "session",
    "date": "session",
    "sequence": "sequence",
}
"""What may stand between braces, and what it means."""

_MASK_NAMES: Final = {
    "brain": ("brain_mask", "brainmask", "brain-mask", "mask_brain", "bet_mask"),
    "tumor": ("tumor", "tumour", "tumor_mask", "tumour_mask", "lesion", "lesion_mask", "seg", "t2lesion"),
}

_PART = re.compile(r"\{([^{}]*)\}|(\*)")


@dataclass(frozen=True)
class Pattern:
    """A naming pattern.

    Attributes:
        text: As it was written.
        regex: Of a path with forward slashes; its groups are `participant_id`, `session`, `sequence`.
    """

    text: str
    regex: re.Pattern[str]

    def match(self, label: str) -> dict[str, str] | None:
        """What the placeholders are of a path, None where the pattern is not that of the path."""
        found = self.regex.fullmatch(label)
        return None if found is None else found.groupdict()


def compile_pattern(text: str) -> Pattern:
    """Read a naming pattern.

    A placeholder stands for any text without a slash, as short as it can be, `*` for any or none; one that
    is repeated stands for the same text. A pattern that does not end in .nii or .nii.gz takes both.

    Raises:
        InputError: Unmatched braces, an unknown placeholder, or no {participant_id} or {sequence}.

    >>> compile_pattern("{participant_id}/{date}/{sequence}_reg.nii.gz").match("P1/2019/T1_reg.nii.gz")
    {'participant_id': 'P1', 'session': '2019', 'sequence': 'T1'}
    """
    parts, end, seen = [], 0, set()
    for match in _PART.finditer(text):
        parts.append(_literal(text[end : match.start()], text))
        end = match.end()
        if match[2]:
            parts.append("[^/]*")
            continue
        role = PLACEHOLDERS.get(match[1].strip())
        if role is None:
            raise InputError(
                f"unknown placeholder '{match[1]}' in '{text}'. Known: {', '.join(PLACEHOLDERS)}"
            )
        parts.append(f"(?P={role})" if role in seen else f"(?P<{role}>[^/]+?)")
        seen.add(role)
    parts.append(_literal(text[end:], text))
    for role in ("participant_id", "sequence"):
        if role not in seen:
            raise InputError(f"'{{{role}}}' is needed, but got '{text}'.")
    if not text.lower().endswith(IMAGE_SUFFIXES):
        parts.append(r"\.nii(?:\.gz)?")
    return Pattern(text, re.compile("".join(parts)))


def _literal(piece: str, text: str) -> str:
    if set("{}") & set(piece):
        raise InputError(f"braces must hold a placeholder, but got '{text}'.")
    return re.escape(piece)


def read_folder(
    options: ImportOptions, patterns: Sequence[str], guessed: bool, found: Walk, problems: Problems
) -> Catalogue:
    """Find the images of each participant, session and sequence by naming patterns.

    Args:
        options: What was asked for.
        patterns: The naming patterns; the first that a path matches counts.
        guessed: Whether they are ours.
        found: The images of the source.
        problems: Receives patterns and rules that are none, and files that mean the same.
    """
    if options.only is not None:
        problems.add("--only", "has a meaning for BIDS datasets alone. Remove it, or --pattern.")
    compiled = _compiled(patterns, problems)
    rules = read_rules("--sequence", options.sequences, False, problems)
    masks = read_rules("--mask", options.masks, False, problems) or tuple(
        Rule(mask, name) for mask, names in _MASK_NAMES.items() for name in names
    )
    files, left_out = [], list(found.left_out)
    for label in found.images:
        file, why = _file(options.source, label, compiled, rules, masks)
        if file is None:
            left_out.append(LeftOut(label, why))
        else:
            files.append(file)
    kept = keep_one_each(files, "Make the patterns of --pattern tell them apart.", problems)
    order = dict.fromkeys(rule.name for rule in rules) if rules else _sorted_names(kept)
    notes = [f"{file.name} mask: {file.label} and the like" for file in _first_masks(kept, options)]
    names = {(file.name, file.mask) for file in files}
    unmet = {(rule.name, False) for rule in rules} | {(r.name, True) for r in masks if options.masks}
    warnings = [f"{name}: no image fits its rule. Is it right?" for name, _ in sorted(unmet - names)]
    return Catalogue(
        kept, tuple(order), tuple(patterns), guessed, tuple(left_out), tuple(notes), tuple(warnings)
    )


def _compiled(patterns: Sequence[str], problems: Problems) -> list[Pattern]:
    compiled = []
    for text in patterns:
        try:
            compiled.append(compile_pattern(text))
        except InputError as error:
            problems.add("--pattern", str(error))
    return compiled


def _file(
    source: Path, label: str, patterns: Sequence[Pattern], rules: Sequence[Rule], masks: Sequence[Rule]
) -> tuple[Found | None, str]:
    """What an image is, or why it is none of the cohort's."""
    parts = next((parts for pattern in patterns if (parts := pattern.match(label)) is not None), None)
    if parts is None:
        return None, "no pattern matches it"
    text, session = parts["sequence"], parts.get("session")
    names = [part for part in (parts["participant_id"], session, text) if part is not None]
    if not all(is_plain_name(name) and not set("[]{}") & set(name) for name in names):
        return None, "its parts are no plain names"
    mask = next((rule.name for rule in masks if rule.text.lower() == text.lower()), None)
    name = next((rule.name for rule in rules if rule.text.lower() == text.lower()), None)
    if name is None and mask is None and rules:
        return None, "no --sequence names it"
    is_mask = mask is not None and name is None
    chosen = (mask if is_mask else name) or text
    return Found(source / label, label, parts["participant_id"], session, chosen, is_mask), ""


def _sorted_names(files: Sequence[Found]) -> list[str]:
    return sorted({file.name for file in files if not file.mask})


def _first_masks(files: Sequence[Found], options: ImportOptions) -> list[Found]:
    """One file of each mask that was taken for one by its name."""
    if options.masks:
        return []
    return [f for m in MASKS if (f := next((f for f in files if f.mask and f.name == m), None)) is not None]
