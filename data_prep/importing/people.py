"""The source's participants.tsv: its columns go along, but those that name people."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from data_prep.importing.joining import doubts, match_names
from data_prep.importing.records import ImportOptions, LeftOut
from data_prep.importing.sheets import cell_of, read_sheet
from data_prep.plain_files import is_plain
from data_prep.problems import Problems

PARTICIPANTS: Final = "participants.tsv"

# Names of columns without case and marks.
_PERSONAL = frozenset(
    (
        *("name", "firstname", "lastname", "surname", "familyname", "givenname", "forename", "fullname"),
        *(
            "patientname",
            "subjectname",
            "participantname",
            "initials",
            "vorname",
            "nachname",
            "nom",
            "prenom",
        ),
        *("dob", "birth", "birthdate", "dateofbirth", "birthday", "patientbirthdate", "geburtsdatum"),
        *("mrn", "ssn", "address", "street", "postcode", "zip", "zipcode", "phone", "telephone", "email"),
    )
)


def is_personal(column: str) -> bool:
    """Whether a column by its name holds names, dates of birth or addresses.

    >>> is_personal("Birth_Date"), is_personal("date of birth"), is_personal("gene name")
    (True, True, False)
    """
    return re.sub(r"[\W_]", "", column).casefold() in _PERSONAL


@dataclass(frozen=True)
class People:
    """The table of participants.

    Attributes:
        columns: Those that go along, without participant_id.
        known: Those that the file has, without participant_id.
        records: Its rows.
        left_out: Columns that do not go along, or the table itself.
    """

    columns: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    records: tuple[Mapping[str, str], ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def rows(self, participants: Collection[str]) -> list[list[str]]:
        """Rows of the cohort's participants: participant_id, then `columns`."""
        names = match_names((record["participant_id"] for record in self.records), participants)
        return [
            [names[record["participant_id"]], *(cell_of(record[column]) for column in self.columns)]
            for record in self.records
            if record["participant_id"] in names
        ]

    def unclear(self, participants: Collection[str]) -> list[LeftOut]:
        """Rows that may be one of the cohort's participants or another."""
        asked = [record["participant_id"] for record in self.records]
        return [
            LeftOut(PARTICIPANTS, f"{doubt}, which is not certain") for doubt in doubts(asked, participants)
        ]


def read_people(options: ImportOptions) -> People:
    """Read the source's participants.tsv, if there is one."""
    path = options.source / PARTICIPANTS
    if not is_plain(path):
        return People()
    sheet = read_sheet(str(path), Problems())
    if sheet is None or "participant_id" not in sheet.columns or len(set(sheet.columns)) < len(sheet.columns):
        return People(left_out=(LeftOut(PARTICIPANTS, "it is no table with a column participant_id"),))
    known = tuple(column for column in sheet.columns if column != "participant_id")
    whys = {column: why for column in known if (why := _why_not(column, options.drop)) is not None}
    return People(
        tuple(column for column in known if column not in whys),
        known,
        tuple(sheet.records().values()),
        tuple(LeftOut(f"{PARTICIPANTS}: column {column}", why) for column, why in whys.items()),
    )


def _why_not(column: str, drop: Collection[str]) -> str | None:
    if column in drop:
        return "--drop"
    return "by its name it identifies people; rename it if not" if is_personal(column) else None
