"""The sections on what the study stands on: cohort, folds, seeds, software, machines."""

from __future__ import annotations

from contextlib import suppress

from data_prep.folds import FoldTable, read_folds
from data_prep.problems import InputError
from search.booking import booked_versions, finished_folds
from search.facts import rule_of
from search.owner import Owner
from search.report.blocks import Cell, Picture, Section, Table, Text
from search.report.design import further_labels_row, grids_words, normalisation_words, slices_words
from search.report.evidence import Evidence
from search.report.flow_figure import Flow, flow_figure
from search.report.folds_figure import folds_figure
from search.report.phrases import counted, listed
from search.versions import software_versions

REASONS = {
    "no_expression": "no expression",
    "no_score": "no score",
    "missing_sequence": "a sequence is missing",  # in studies of earlier versions
}


def cohort_section(evidence: Evidence) -> Section:
    """Who is in the study, who is not and why, and what is predicted from what."""
    flow = flow_of(evidence)
    caption = (
        "Flow of biopsies and participants through the study; every trial is scored on the same biopsies."
    )
    return Section.of(
        "cohort", "Cohort and exclusions", Picture("flow", flow_figure(flow), caption), design_table(evidence)
    )


def flow_of(evidence: Evidence) -> Flow:
    """The counts of the flow diagram."""
    cohort, folds, material = evidence.cohort, evidence.study.user_attrs["folds"], evidence.material
    excluded = {REASONS.get(reason, reason): int(n) for reason, n in cohort["excluded"].items() if n}
    people = len(material.source.participants) if material else None  # who is left out is not on record
    return Flow(
        biopsies=int(cohort["biopsies"]) + sum(excluded.values()),
        participants=people,
        excluded=excluded,
        analysed=int(cohort["biopsies"]),
        analysed_participants=int(cohort["participants"]),
        positive=int(cohort["positive"]),
        negative=int(cohort["biopsies"]) - int(cohort["positive"]),
        folds=int(folds["n"]),
        repeats=int(folds["repeats"]),
        rule=f"{evidence.definition.label.definition.target} above {cohort['threshold']:.4g}",
    )


def design_table(evidence: Evidence) -> Table:
    """Outcome, predictors and handling of what is missing."""
    study, material = evidence.definition, evidence.material
    sequences = listed(material.patches.sequences) if material else str(study.input.sequences)
    spacing = "native" if study.input.spacing_mm == "native" else f"{study.input.spacing_mm} mm"
    missing = {
        "mask": "kept: absent sequences are 0, with a channel that says so",
        "zero": "kept: absent sequences are 0",
        "drop": "scored, absent sequences as 0, but not trained on",
        "mean": "kept: absent sequences are the training fold's mean patch",
    }[study.input.missing]
    cut = {
        "cohort": "the whole cohort's: it ties training to test prevalence by one number",
        "training": "the training fold's own",
    }[study.label.threshold_from]
    fixed = study.label.definition.is_fixed
    rows: list[tuple[Cell, ...]] = [
        ("outcome", f"{study.label.definition.target}, {study.label.rule}"),
        *further_labels_row(study),
        ("cut between the classes", "fixed beforehand" if fixed else cut),
        ("predictors", f"axial patches around each biopsy, {slices_words(study)} deep"),
        ("sequences", sequences),
        ("voxel spacing", spacing),
        ("grids that differ", grids_words(study)),
        ("normalisation", normalisation_words(study, material)),
        ("missing sequences", missing),
        ("augmentation of training patches", listed(study.input.augmentation) or "none"),
        (
            "folds",
            f"{study.validation.folds}, grouped by participant, {counted(study.validation.repeats, 'table')}",
        ),
        ("early stopping", _stopping(evidence)),
        ("metric of the search", study.search.metric),
        ("sampler and pruner", f"{study.search.sampler}, {study.search.pruner}"),
        ("selection", _selection(evidence)),
    ]
    return Table(
        "design", "What is predicted, from what, and how it is searched", ("part", "choice"), tuple(rows)
    )


def _stopping(evidence: Evidence) -> str:
    training = evidence.definition.training
    if training.early_stopping == "none":
        return f"none: {training.epochs} epochs"
    when = f"patience {training.patience} of {training.epochs} epochs"
    return f"on an inner part of the training participants, {when}"


def _selection(evidence: Evidence) -> str:
    rule = rule_of(evidence.study)
    if rule.name == "rank-average":
        return f"mean rank of the best trials: {rule.top or '15 % of them, at least 3'}"
    return {"one-se": "the simplest trial within one standard error of the best"}.get(
        rule.name, "the best trial"
    )


def folds_section(evidence: Evidence) -> Section:
    """Who is held out with whom, and the hashes that freeze it."""
    table = folds_of(evidence)
    picture = None
    if table is not None and evidence.predictions is not None:
        caption = "Biopsies of either class held out in each fold; the number is of participants."
        picture = Picture("folds", folds_figure(table, evidence.predictions.label), caption)
    return Section.of(
        "folds",
        "Folds and hashes",
        Text("No participant is in two folds; the table was drawn once, before the first trial, and frozen."),
        picture,
        hashes_table(evidence),
        None if table is None else folds_table(table, evidence),
    )


def folds_of(evidence: Evidence) -> FoldTable | None:
    """The study's frozen fold table; None where the home has none."""
    with suppress(InputError, OSError):
        return read_folds(evidence.folder.folds)
    return None


def hashes_table(evidence: Evidence) -> Table:
    """The sha256 of what must not change."""
    identity = evidence.study.user_attrs["identity"]
    rows: list[tuple[Cell, ...]] = [
        ("fold table of the search", evidence.facts.fold_table),
        ("patches at the largest radius", identity["cohort.patches"]),
        ("labels", identity["cohort.labels"]),
    ]
    if evidence.bank_hash:
        rows.insert(1, ("bank of fold tables", evidence.bank_hash))
    return Table("hashes", "sha256 of what every trial shares", ("what", "sha256"), tuple(rows))


def folds_table(table: FoldTable, evidence: Evidence) -> Table:
    """The fold of each biopsy, by the names that the report uses."""
    names = evidence.names
    order = {person: place for place, person in enumerate(dict.fromkeys(table.participant_id))}
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (names.biopsy[row], names.participant[order[person]], *map(int, table.fold[:, row]))
        for row, person in enumerate(table.participant_id)
    )
    repeats = tuple(f"repeat {repeat}" for repeat in range(len(table.fold)))
    return Table(
        "folds", "Fold that holds each biopsy out", ("biopsy", "participant", *repeats), rows, shown=10
    )


def provenance_section(evidence: Evidence) -> Section:
    """Seeds, software and machines."""
    return Section.of(
        "provenance",
        "Seeds, software and machines",
        seeds_table(evidence),
        versions_table(evidence),
        machines_table(evidence),
    )


def seeds_table(evidence: Evidence) -> Table:
    """The seeds from which every random number comes."""
    study = evidence.definition
    rows: list[tuple[Cell, ...]] = [
        ("fold table", study.validation.seed, "validation.seed"),
        (
            "search, and weights and augmentation of each trial",
            study.search.seed,
            "search.seed, and the trial's place",
        ),
        ("bootstraps of this report", 0, "fixed"),
    ]
    return Table("seeds", "Seeds", ("of", "seed", "where it is set"), tuple(rows))


def versions_table(evidence: Evidence) -> Table:
    """The software that ran the trials, and that wrote the report."""
    booked = [versions for trial in evidence.trials if (versions := booked_versions(trial))]
    now = software_versions()
    packages = list(dict.fromkeys([*now, *(name for versions in booked for name in versions)]))
    rows = tuple(
        (name, listed(sorted({v[name] for v in booked if name in v})) or None, now.get(name))
        for name in packages
    )
    return Table("versions", "Software", ("package", "ran the trials", "wrote this report"), rows)


def machines_table(evidence: Evidence) -> Table:
    """The machines and devices that ran folds; machines are numbered, not named."""
    numbers: dict[str, int] = {}
    found: dict[tuple[int, str], int] = {}
    for trial in evidence.counted:
        owner = trial.user_attrs.get("owner")
        host = Owner.parse(owner).host if owner else "unknown"
        machine = numbers.setdefault(host, len(numbers) + 1)
        for fold in finished_folds(trial).values():
            found[machine, fold.device] = found.get((machine, fold.device), 0) + 1
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (f"machine {machine}", device, folds) for (machine, device), folds in sorted(found.items())
    )
    return Table("machines", "Machines", ("machine", "device", "folds"), rows)
