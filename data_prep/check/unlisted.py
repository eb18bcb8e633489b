"""Images that lie where images of the cohort lie, of participants whom no biopsy names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter

from data_prep.cohort_file import placeholders
from data_prep.places import is_plain_name
from data_prep.records import Cohort

_OWNER = "participant_id"


def unlisted(cohort: Cohort, listed: Mapping[str, set[str]] | None = None) -> dict[str, list[Path]]:
    """Files by participant without biopsies, sorted; by the first other column where no path names them.

    A column that shares a part of the path with others is looked for by the values that the table has of it.

    Args:
        cohort: Where to look.
        listed: Values of the biopsy table by column, as `listed.listed`; those of its sound rows by default.
    """
    template = cohort.file.images
    columns = [name for name in dict.fromkeys(placeholders(template)) if name != "sequence"]
    owner = _OWNER if _OWNER in columns else next(iter(columns), None)
    if owner is None:
        return {}
    known = {biopsy.columns.get(owner, "") for biopsy in cohort.biopsies} | (listed or {}).get(owner, set())
    repeats = _repeats(cohort)
    pattern = re.compile(_pattern(template, owner, _values(cohort, columns)))
    found: dict[str, list[Path]] = {}
    for path in _candidates(cohort.root, template):
        match = pattern.fullmatch(_below(cohort.root, path))
        if match is None or match[owner] in known or path in repeats or not is_plain_name(match[owner]):
            continue
        if cohort.places.at(path, template).usable:
            found.setdefault(match[owner], []).append(path)
    return {name: sorted(paths) for name, paths in sorted(found.items())}


def _repeats(cohort: Cohort) -> set[Path]:
    """Where second scans lie by [repeats]; they have an owner, whatever their paths look like."""
    template = None if cohort.file.repeats is None else cohort.file.repeats.images
    if template is None:
        return set()
    return {
        cohort.root / template.format_map({**biopsy.columns, "sequence": name})
        for biopsy in cohort.biopsies
        for name in cohort.sequences
    }


def _values(cohort: Cohort, columns: Sequence[str]) -> dict[str, set[str]]:
    values = {name: {biopsy.columns.get(name, "") for biopsy in cohort.biopsies} for name in columns}
    return values | {"sequence": set(cohort.sequences)}


def _candidates(root: Path, template: str) -> list[Path]:
    """What lies at the path, whatever its placeholders stand for."""
    parts = Path(template).parts
    fixed = next((n for n, part in enumerate(parts[:-1]) if "{" in part), len(parts) - 1)
    return sorted((root / Path(*parts[:fixed])).glob("/".join(map(_with_stars, parts[fixed:]))))


def _with_stars(template: str) -> str:
    return "".join(
        re.sub(r"([*?\[])", r"[\1]", text) + ("" if name is None else "*")
        for text, name, _, _ in Formatter().parse(template)
    )


def _below(root: Path, path: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _pattern(template: str, owner: str, values: Mapping[str, set[str]]) -> str:
    """A regular expression of the paths; a name that comes again stands for the same text."""
    seen: set[str] = set()
    pieces = []
    for part in Path(template).parts:
        whole = part.count("{") == 1 and part.startswith("{") and part.endswith("}")
        piece = ""
        for text, name, _, _ in Formatter().parse(part):
            piece += re.escape(text)
            if name is None:
                continue
            if name in seen:
                piece += f"(?P={name})"
            elif name == owner or (whole and name != "sequence"):
                piece += f"(?P<{name}>[^/]+)"
            else:
                known = sorted(values[name], key=len, reverse=True)
                piece += f"(?P<{name}>{'|'.join(map(re.escape, known))})"
            seen.add(name)
        pieces.append(piece)
    return "/".join(pieces).replace("//", "/")
