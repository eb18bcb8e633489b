"""What an import will do, found out without writing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_prep.cohort_file import Coordinates
from data_prep.geometry import Grid
from data_prep.importing.bids import is_bids, read_bids
from data_prep.importing.biopsies import read_biopsies
from data_prep.importing.checking import check_drop, check_places, check_texts, refuse_alone
from data_prep.importing.expression import ExpressionTable, read_expression
from data_prep.importing.guessing import guess_patterns
from data_prep.importing.joining import Joined, join
from data_prep.importing.layout import Layout, cohort_toml, lay_out, links_out, rare_sequences
from data_prep.importing.numerals import plain
from data_prep.importing.patterns import read_folder
from data_prep.importing.people import PARTICIPANTS, People, is_personal, read_people
from data_prep.importing.records import BiopsyTable, Catalogue, Found, ImportOptions, ImportPlan, LeftOut
from data_prep.importing.sites import outside
from data_prep.importing.walking import walk
from data_prep.problems import InputError, Problems, named
from data_prep.survey import Progress, in_parallel
from data_prep.tables import MISSING
from data_prep.volumes import open_volume

_SHOWN = 10


def make_plan(options: ImportOptions, progress: Progress | None = None) -> ImportPlan:
    """Find out what an import does.

    Args:
        options: What was asked for.
        progress: Called with (done, total) while headers of images are read.

    Raises:
        InputError: Every problem of the source, the tables and the options.
    """
    problems = Problems()
    check_places(options, problems)
    catalogue = _catalogue(options, problems)
    biopsies = read_biopsies(options, problems)
    expression = None
    if options.expression is not None:
        expression = read_expression(options, biopsies, problems)
    else:
        refuse_alone(options, problems)
    people = read_people(options)
    check_drop(options, biopsies, people, problems)
    if catalogue is None or biopsies is None or len(problems):
        raise _refusal(options, catalogue, biopsies, problems)
    grids, broken = _headers(catalogue.files, progress)
    files = [file for file in catalogue.files if file.label in grids]
    joined, layout = _join(files, catalogue, biopsies, options, problems)
    if not joined.rows:
        problems.add(biopsies.name, _no_images(biopsies, catalogue, joined))
    if len(problems):
        raise _refusal(options, catalogue, None, problems)
    made = _Made(options, catalogue, biopsies, expression, people, joined, layout, grids, tuple(broken))
    return _checked(made, problems)


def _join(
    files: Sequence[Found],
    catalogue: Catalogue,
    biopsies: BiopsyTable,
    options: ImportOptions,
    problems: Problems,
) -> tuple[Joined, Layout]:
    joined = join(files, biopsies, options, problems)
    return joined, lay_out(joined, catalogue.order, options.link, problems)


def _refusal(
    options: ImportOptions, catalogue: Catalogue | None, biopsies: BiopsyTable | None, problems: Problems
) -> InputError:
    """All problems; with biopsies that are not joined yet also those of their participants and sessions."""
    if catalogue is not None and biopsies is not None and biopsies.sound and catalogue.files:
        _join(catalogue.files, catalogue, biopsies, options, problems)
    if catalogue is not None and catalogue.guessed:
        problems.add(
            "naming patterns",
            f"guessed from the names: {', '.join(catalogue.how)}. Where they are wrong, give --pattern.",
        )
    try:
        problems.raise_any()
    except InputError as error:
        return error
    return InputError(f"{options.source}: nothing can be made of it.")


def _checked(made: _Made, problems: Problems) -> ImportPlan:
    """The plan, if what it would write can be read."""
    table = made.expression
    if table is not None and not any(name in table.values for name in made.ids()):
        problems.add(
            made.options.expression or "",
            "some biopsy with images must have expression, but none has. Those with expression are "
            f"{named([*table.values], _SHOWN)}.",
        )
        problems.raise_any()
    plan = made.plan()
    check_texts(plan.texts, (image.target for image in plan.images), problems)
    problems.raise_any()
    return plan


def _catalogue(options: ImportOptions, problems: Problems) -> Catalogue | None:
    try:
        found = walk(options.source)
    except InputError as error:
        problems.extend(error)
        return None
    if not options.patterns and is_bids(options.source, found.images):
        return read_bids(options, found, problems)
    patterns = options.patterns or guess_patterns(found.images)
    return read_folder(options, patterns, not options.patterns, found, problems)


def _headers(files: Sequence[Found], progress: Progress | None) -> tuple[dict[str, Grid], list[LeftOut]]:
    """The grid of each image that is a readable volume, by label; and the others."""

    def grid_of(file: Found) -> Grid | str:
        try:
            return open_volume(file.path).grid
        except InputError as error:
            return str(error)

    grids, broken = {}, []
    for file, grid in zip(files, in_parallel(grid_of, files, progress), strict=True):
        if isinstance(grid, Grid):
            grids[file.label] = grid
        else:
            broken.append(LeftOut(file.label, grid))
    return grids, broken


def _no_images(biopsies: BiopsyTable, catalogue: Catalogue, joined: Joined) -> str:
    asked = sorted({row["participant_id"] for row in biopsies.rows.values()})
    known = sorted({file.participant for file in catalogue.files})
    first = next((f" ({left.what}: {left.why})" for left in joined.left_out), "")
    of_table, of_images = ", ".join(asked[:3]), ", ".join(known[:3]) or "none"
    return (
        f"some biopsy must have images, but none has{first}. Its participants are {of_table}, ...; those of "
        f"the images are {of_images}, ... Are the columns and the naming patterns right?"
    )


@dataclass(frozen=True)
class _Made:
    """All parts of a plan."""

    options: ImportOptions
    catalogue: Catalogue
    biopsies: BiopsyTable
    expression: ExpressionTable | None
    people: People
    joined: Joined
    layout: Layout
    grids: Mapping[str, Grid]
    broken: tuple[LeftOut, ...]

    def plan(self) -> ImportPlan:
        """The plan."""
        rows = self.people.rows(self._ours())
        expression = self.expression
        texts = {"cohort.toml": self._toml(), "biopsies.tsv": self._biopsies()}
        if expression is not None:
            texts["expression.tsv"] = self._expression(expression)
        if rows:
            texts[PARTICIPANTS] = _tsv(["participant_id", *self.people.columns], rows)
        parts = (self.catalogue, self.biopsies, self.joined, *((expression,) if expression else ()))
        return ImportPlan(
            self.options.out,
            self.layout.images,
            texts,
            self.catalogue.how,
            self.catalogue.guessed,
            self.catalogue.files,
            self.biopsies.mapped,
            len(self.joined.rows),
            len(self._ours()),
            (
                *(note for part in parts for note in part.notes),
                *self._without_expression(),
                *self._going_along(),
            ),
            (*self._outside(), *(expression.warnings if expression else ()), *self._doubtful()),
            (*(left for part in parts for left in part.left_out), *self.broken, *self._unlisted()),
        )

    def ids(self) -> list[str]:
        """Of the biopsies that have images."""
        return [self.biopsies.rows[number]["biopsy_id"] for number in self.joined.rows]

    def _ours(self) -> set[str]:
        return {participant for participant, _ in self.joined.rows.values()}

    def _coordinates(self) -> dict[str, str]:
        convention = self.biopsies.convention
        return {"space": self.biopsies.space} | ({"convention": convention} if convention else {})

    def _toml(self) -> str:
        tables = {"biopsies": "biopsies.tsv"} | ({"expression": "expression.tsv"} if self.expression else {})
        name = self.options.name or self.options.out.resolve().name
        links = self.options.link == "symlink"
        return cohort_toml(name, self.layout, tables, self._coordinates(), self.joined.repeats, links)

    def _biopsies(self) -> str:
        columns = list(self.biopsies.columns)
        if self.layout.sessions and "session" not in columns:
            columns.insert(2, "session")
        rows = []
        for number, (participant, session) in self.joined.rows.items():
            row = {**self.biopsies.rows[number], "participant_id": participant}
            if session is not None:
                row["session"] = session
            rows.append([row[column] for column in columns])
        return _tsv(columns, rows)

    def _expression(self, table: ExpressionTable) -> str:
        rows = []
        for number in self.joined.rows:
            biopsy = self.biopsies.rows[number]["biopsy_id"]
            if biopsy in table.values:
                values = (
                    MISSING if value != value else plain(value) for value in table.values[biopsy].tolist()
                )
                rows.append([biopsy, *values])
        return _tsv(["biopsy_id", *table.genes], rows)

    def _unlisted(self) -> tuple[LeftOut, ...]:
        return (*self.people.left_out, *self.people.unclear(self._ours()))

    def _going_along(self) -> tuple[str, ...]:
        """Columns of participants.tsv that become part of the cohort."""
        if not self.people.columns:
            return ()
        return (f"{PARTICIPANTS} goes along with its columns {', '.join(self.people.columns)}",)

    def _without_expression(self) -> tuple[str, ...]:
        if self.expression is None:
            return ()
        ids = self.ids()
        without = [name for name in ids if name not in self.expression.values]
        if not without:
            return ()
        return (f"{len(without)} of {len(ids)} biopsies have no expression: {', '.join(without)}",)

    def _outside(self) -> tuple[str, ...]:
        sites = {}
        for number, place in self.joined.rows.items():
            row = self.biopsies.rows[number]
            image = next((file for file in self.joined.files[place] if not file.mask), None)
            if image is None:
                continue
            sites[number] = self.grids[image.label], [float(row[axis]) for axis in "xyz"]
        return outside(sites, Coordinates.model_validate(self._coordinates()), self.biopsies.name)

    def _doubtful(self) -> Iterator[str]:
        """What is probably a mistake, of images and of columns."""
        yield from self.catalogue.warnings
        if self.broken:
            yield f"{len(self.broken)} images cannot be read and are left out"
        yield from rare_sequences(self.joined)
        yield from links_out(self.options.source, self.layout.images)
        for column in filter(is_personal, self.biopsies.columns):
            yield f"{self.biopsies.name}: column {column} goes along: --drop it if it identifies people"


def _tsv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("\t".join(row) for row in (columns, *rows)) + "\n"
