"""Which columns of a user's table are which of ours: as told, or by usual names, never by their content."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from data_prep.importing.records import AXES, ROLES, ImportOptions, Mapped
from data_prep.importing.sheets import Sheet
from data_prep.problems import Problems, nearest

_USUAL: Final = {
    "biopsy_id": "biopsyid biopsy biopsyname biopsynumber biopsyno bxid bx siteid specimenid specimen "
    "sampleid sample samplename",
    "participant_id": "participantid participant subjectid subject patientid patient pat patid caseid case "
    "sub pid id",
    "session": "session sessionid ses visit timepoint scandate mridate mrdate imagingdate",
}

_TRIPLES: Final = {"ijk": ("voxel", None), "ras": ("world", "RAS"), "lps": ("world", "LPS")}
"""Letters that say by themselves what they are: voxel indices, and the directions of the axes."""

_WORDS = (
    *("mm", "ras", "lps", "vox", "voxel", "voxels", "index", "coord", "coords", "coordinate", "coordinates"),
    *("pos", "position", "world", "site", "target", "biopsy", "nifti", "dicom", "scanner", "mri", "image"),
    *("img", "location", "loc"),
)


# A column in a text; not those of str.format, which can also read attributes.
_BRACES = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Columns:
    """Columns of a table of biopsies.

    Attributes:
        templates: Role -> text with column names in braces.
        mapped: The same, to be shown.
        space: What the names of the coordinates say of their space, None where nothing.
        convention: Likewise.
        sound: Whether there is one for each role.
    """

    templates: Mapping[str, str]
    mapped: tuple[Mapped, ...]
    space: str | None
    convention: str | None
    sound: bool

    def of(self, role: str, record: Mapping[str, str]) -> str:
        """The text of a role in one row."""
        return _BRACES.sub(lambda match: record[match[1]], self.templates[role])

    @property
    def used(self) -> frozenset[str]:
        """Columns that a role is taken from alone."""
        return frozenset(mapped.theirs for mapped in self.mapped)


def find_columns(sheet: Sheet, options: ImportOptions, problems: Problems) -> Columns:
    """Find the columns of the roles.

    Args:
        sheet: The table.
        options: `columns`: ROLE=COLUMN, or ROLE=TEXT with columns in braces.
        problems: Receives columns that are missing or may be either of two.

    Returns:
        Those that are known.
    """
    before = len(problems)
    _note_repeated(sheet, problems)
    told = _told(sheet, options.columns, problems)
    axes, space, convention = _axes(sheet.columns, told)
    templates, mapped = {}, []
    for role in ROLES:
        how = "as told"
        text = told.get(role)
        if role not in told:
            column = axes.get(role) if role in AXES else _usual(sheet, role, problems)
            text, how = None if column is None else _braced(column), "by its name"
        if text is not None:
            templates[role] = text
            mapped.append(Mapped(role, _shown(text), how))
        elif role != "session" and role not in told:
            _note_missing(sheet, role, problems)
    if told.keys() & set(AXES):
        space, convention = _said([templates.get(axis, "") for axis in AXES])
    return Columns(templates, tuple(mapped), space, convention, len(problems) == before)


def _note_repeated(sheet: Sheet, problems: Problems) -> None:
    for name in sorted(name for name, times in Counter(sheet.columns).items() if times > 1):
        problems.add(
            sheet.where(sheet.header, name), "a column name must occur once, but it is repeated. Rename one."
        )


def _told(sheet: Sheet, texts: Iterable[str], problems: Problems) -> dict[str, str | None]:
    """Role -> text with columns in braces, of `--map`; None where it names a column that is not there."""
    told: dict[str, str | None] = {}
    for text in texts:
        role, equals, source = (part.strip() for part in text.partition("="))
        where = f"--map {text}"
        if not equals or role not in ROLES:
            problems.add(where, f"ROLE=COLUMN is needed. Roles: {', '.join(ROLES)}.")
            continue
        template = _braced(source) if source in sheet.columns else source
        names = _names(template)
        unknown = [name for name in names or [source] if name not in sheet.columns]
        for name in unknown:
            problems.add(where, f"unknown column '{name}'; {nearest(name, sheet.columns)}.")
        told[role] = None if unknown else template
    return told


def _braced(column: str) -> str:
    return "{" + column + "}"


def _names(template: str) -> list[str]:
    return _BRACES.findall(template)


def _shown(template: str) -> str:
    """A single column by its name alone."""
    inner = template[1:-1]
    return inner if template == _braced(inner) and not set("{}") & set(inner) else template


def _usual(sheet: Sheet, role: str, problems: Problems) -> str | None:
    """The column with the most usual name of a role."""
    keys = {column: re.sub(r"[^a-z0-9]", "", column.lower()) for column in sheet.columns}
    for usual in _USUAL[role].split():
        columns = [column for column, key in keys.items() if key == usual]
        if len(columns) > 1:
            both = " and ".join(f"'{column}'" for column in columns)
            problems.add(
                sheet.where(sheet.header, role), f"{both} may be it. Say --map {role}={columns[0]!r}."
            )
        if columns:
            return columns[0]
    return None


def _note_missing(sheet: Sheet, role: str, problems: Problems) -> None:
    columns = ", ".join(f"'{column}'" for column in sheet.columns)
    problems.add(
        sheet.where(sheet.header, role),
        f"the column is required, but none has a usual name. Say --map {role}=COLUMN, or --header-row N "
        f"where this is not the header. Columns: {columns}",
    )


def _axes(columns: Sequence[str], told: Collection[str]) -> tuple[dict[str, str], str | None, str | None]:
    """Columns of those of x, y and z that are not told, and what their names say of the space."""
    for letters in ("xyz", *_TRIPLES):
        marks = {axis: mark for axis, mark in zip(AXES, letters, strict=True) if axis not in told}
        found = {axis: [c for c in columns if _letter(c, letters) == mark] for axis, mark in marks.items()}
        if found and all(len(names) == 1 for names in found.values()):
            axes = {axis: names[0] for axis, names in found.items()}
            space, convention = _TRIPLES.get(letters, (None, None))
            said = _said(axes.values())
            return axes, space or said[0], convention or said[1]
    return {}, None, None


def _letter(column: str, letters: str) -> str | None:
    """The axis that a column's name names, where its other words are those of coordinates.

    >>> _letter("X (mm)", "xyz"), _letter("coord_y", "xyz"), _letter("x-ray", "xyz")
    ('x', 'y', None)
    """
    words = re.findall(r"[a-z0-9]+", column.lower())
    marks = [word for word in words if word in tuple(letters)]
    others = [word for word in words if word not in tuple(letters)]
    return marks[0] if len(marks) == 1 and set(others) <= set(_WORDS) else None


def _said(names: Iterable[str]) -> tuple[str | None, str | None]:
    """Space and convention that all three names of coordinates tell."""
    words = [set(re.findall(r"[a-z0-9]+", name.lower())) for name in names]
    conventions = [mark for mark in ("ras", "lps") if all(mark in word for word in words)]
    if len(conventions) == 1:
        return "world", conventions[0].upper()
    if all(word & {"mm", "world"} for word in words):
        return "world", None
    if all(word & {"vox", "voxel", "voxels", "index"} for word in words):
        return "voxel", None
    return None, None
