"""Which images belong to which biopsy: participants and sessions as tables and folders write them."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from data_prep.importing.records import BiopsyTable, Found, ImportOptions, LeftOut
from data_prep.problems import Problems

NO_SESSION = "unnamed"
"""Of images without a session, where others have one."""

# Without marks in eight digits alone: 2019112 may be two days.
_DAY = re.compile(
    r"(?P<year>\d{4})(?:(?P<mark>[-._/])|(?=\d{4}$))(?P<month>\d\d?)(?(mark)(?P=mark))(?P<day>\d\d?)"
)


@dataclass(frozen=True)
class Joined:
    """Biopsies with images, and the images they need.

    Attributes:
        rows: By row number: participant and session of a biopsy, as folders of the cohort have them; session
            is None where no image has one.
        files: The images of each participant and session that a biopsy or a repeat needs.
        repeats: The session that was scanned again, as its folder is called.
        notes: Names that were matched though they are not written alike.
        left_out: Biopsies without images, images without biopsies.
    """

    rows: Mapping[int, tuple[str, str | None]]
    files: Mapping[tuple[str, str | None], tuple[Found, ...]]
    repeats: str | None
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def key_of(name: str) -> str:
    """A name without what tables leave out: case, `sub-` and `ses-`, which marks, zeros in front of parts.

    Marks separate, so that `P1-1` is not `P11`. A day in the order of ISO 8601 is that day however written.

    >>> key_of("sub-007"), key_of("7"), key_of("P1_01"), key_of("ses-2019-3-1"), key_of("20190301")
    ('7', '7', 'p1-1', '2019-03-01', '2019-03-01')
    """
    bare = re.sub(r"^(sub|ses)[-_]", "", unicodedata.normalize("NFC", name).strip().casefold())
    day = _DAY.fullmatch(bare)
    if day is not None:
        with suppress(ValueError):  # no such day
            return datetime.date(int(day["year"]), int(day["month"]), int(day["day"])).isoformat()
    parts = [part.lstrip("0") or "0" for part in re.split(r"[\W_]+", bare) if part]
    return "-".join(parts) or bare


def match_names(wanted: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """The known name of each wanted one: the same, else the only one with its key.

    >>> match_names(["sub-01", "2", "3"], ["sub-01", "sub-02"])
    {'2': 'sub-02', 'sub-01': 'sub-01'}
    """
    names, asked = _by_key(known), _by_key(wanted)
    matched = {}
    for key, alike in asked.items():
        theirs = names.get(key, [])
        for name in alike:
            if name in theirs:
                matched[name] = name
            elif len(alike) == len(theirs) == 1:
                matched[name] = theirs[0]
    return dict(sorted(matched.items()))


def doubts(wanted: Iterable[str], known: Iterable[str]) -> list[str]:
    """What names may be that `match_names` leaves out though their keys are known.

    >>> doubts(["1", "01", "2"], ["sub-01"])
    ["'01', '1' may be sub-01"]
    """
    asked, names = set(wanted), _by_key(known)
    unclear = _by_key(asked - match_names(asked, known).keys()).keys() & names.keys()
    return [
        f"{', '.join(repr(name) for name in alike)} may be {' or '.join(names[key])}"
        for key, alike in _by_key(asked).items()
        if key in unclear
    ]


def _by_key(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        found.setdefault(key_of(name), []).append(name)
    return found


def join(files: Iterable[Found], biopsies: BiopsyTable, options: ImportOptions, problems: Problems) -> Joined:
    """Give every biopsy its images.

    Args:
        files: Images of the source.
        biopsies: The table.
        options: `session` and `repeats`.
        problems: Receives names that may be either of two, participants with several sessions where nothing
            says which a biopsy is of, and sessions that are told of images without any.
    """
    by_participant: dict[str, list[Found]] = {}
    for file in files:
        by_participant.setdefault(file.participant, []).append(file)
    scanned = {name for name, own in by_participant.items() if any(not file.mask for file in own)}
    asked = {row["participant_id"] for row in biopsies.rows.values()}
    names = match_names(asked, scanned)
    for doubt in doubts(asked, scanned):
        problems.add(
            biopsies.name, f"a participant needs one name, but {doubt}. Write each as its images do."
        )
    sessions = _Sessions(by_participant, options, biopsies.name, problems)
    if options.session is not None:
        sessions.check_told(any("session" in row for row in biopsies.rows.values()))
    rows: dict[int, tuple[str, str | None]] = {}
    left_out = []
    for number, row in biopsies.rows.items():
        where = f"{biopsies.name}: row {number} ({row['biopsy_id']})"
        participant = names.get(row["participant_id"])
        if participant is None:
            left_out.append(LeftOut(where, f"participant '{row['participant_id']}' has no images"))
            continue
        session, why = sessions.of(participant, row.get("session"), where)
        if why is None:
            rows[number] = participant, session
        else:
            left_out.append(LeftOut(where, why))
    needed = sessions.needed(rows.values())
    used = {file.label for own in needed.values() for file in own}
    left_out += [
        LeftOut(
            file.label, "no biopsy of the session" if name in names.values() else f"{name} has no biopsies"
        )
        for name, own in sorted(by_participant.items())
        for file in own
        if file.label not in used
    ]
    notes = (
        *_renamed(f"participants that {biopsies.name} names otherwise", names.items()),
        *_renamed("sessions that were named otherwise", sorted(sessions.named)),
    )
    return Joined(rows, needed, sessions.repeats, notes, tuple(left_out))


def _renamed(what: str, names: Iterable[tuple[str, str]]) -> list[str]:
    pairs = [f"'{name}' is {known}" for name, known in names if name != known]
    return [f"{what}: {', '.join(pairs)}"] if pairs else []


class _Sessions:
    """The sessions of each participant.

    Attributes:
        repeats: The session of `--repeats` as folders call it.
        named: Sessions as they were written, and as folders call them.
    """

    def __init__(
        self,
        by_participant: Mapping[str, list[Found]],
        options: ImportOptions,
        table: str,
        problems: Problems,
    ) -> None:
        self._files = by_participant
        self._told = options.session
        self._table = table
        self._problems = problems
        self._any = any(file.session is not None for own in by_participant.values() for file in own)
        self.named: set[tuple[str, str]] = set()
        self.repeats = self._find_repeats(options.repeats)

    def check_told(self, in_table: bool) -> None:
        """Note a `--session` that changes nothing."""
        if not self._any:
            self._problems.add("--session", f"no image has a session, but got '{self._told}'. Remove it.")
        elif in_table:
            self._problems.add("--session", f"{self._table} names the session of each biopsy. Remove it.")

    def _find_repeats(self, wanted: str | None) -> str | None:
        names = {file.session for own in self._files.values() for file in own if file.session is not None}
        if wanted is None:
            return None
        found = self._match(wanted, names, "--repeats")
        if found is None and not doubts([wanted], names):
            self._problems.add(
                "--repeats", f"some image must be of '{wanted}', but sessions are {_list(names)}."
            )
        return found

    def _match(self, wanted: str, names: Iterable[str], where: str) -> str | None:
        """The session that is meant, noted where it is written otherwise."""
        names = set(names)
        for doubt in doubts([wanted], names):
            self._problems.add(where, f"a session needs one name, but {doubt}. Write it as its images do.")
        found = match_names([wanted], names).get(wanted)
        if found is not None:
            self.named.add((wanted, found))
        return found

    def of(self, participant: str, written: str | None, where: str) -> tuple[str | None, str | None]:
        """Session of a biopsy, or why there is none."""
        if not self._any:
            return None, None
        names = self._named(participant)
        wanted = written or self._told
        if not names:
            return self._unnamed(participant, wanted)
        if wanted is not None:
            found = self._match(wanted, names, where.split(" (")[0])
            return found, None if found else f"{participant} has no session '{wanted}', but {_list(names)}"
        if len(names) > 1:
            self._problems.add(
                where.split(" (")[0],
                f"the session of the biopsy must be known, but {participant} has {_list(names)}. Say "
                "--map session=COLUMN, or --session NAME for all.",
            )
        return names[0], None

    def _unnamed(self, participant: str, wanted: str | None) -> tuple[str | None, str | None]:
        """The session of one who has images without a session, or of the repeat, alone."""
        if all(file.session is not None for file in self._files[participant] if not file.mask):
            return None, f"{participant} has images of the repeat {self.repeats} alone"
        if wanted is not None:
            self.named.add((wanted, NO_SESSION))
        return NO_SESSION, None

    def _named(self, participant: str) -> list[str]:
        images = (file for file in self._files[participant] if not file.mask)
        names = {file.session for file in images if file.session not in (None, self.repeats)}
        return sorted(name for name in names if name is not None)

    def needed(
        self, rows: Iterable[tuple[str, str | None]]
    ) -> dict[tuple[str, str | None], tuple[Found, ...]]:
        """Images of participants and sessions, those without a session being of each that lacks its own."""
        wanted = dict.fromkeys(rows)
        if self.repeats is not None:
            wanted |= dict.fromkeys((participant, self.repeats) for participant, _ in list(wanted))
        needed = {}
        for participant, session in wanted:
            own = [file for file in self._files[participant] if file.session == session]
            names = {(file.name, file.mask) for file in own}
            shared = [
                file
                for file in self._files[participant]
                if file.session is None and (file.name, file.mask) not in names and session != self.repeats
            ]
            needed[participant, session] = (*own, *shared)
        return needed


def _list(names: Iterable[str | None]) -> str:
    return ", ".join(sorted(str(name) for name in names)) or "none"
