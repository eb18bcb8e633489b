"""What the study stands on: counts that add up, hashes that are the frozen ones, machines without names."""

from __future__ import annotations

import socket
from dataclasses import replace

import optuna

from search.booking import booked_versions
from search.report.evidence import Evidence
from search.report.flow_figure import flow_figure
from search.report.provenance import (
    design_table,
    flow_of,
    folds_section,
    folds_table,
    hashes_table,
    machines_table,
    seeds_table,
    versions_table,
)
from tests.search.report.drawn import texts


class WithCohort:
    """A study whose record of the cohort is another."""

    def __init__(self, study: optuna.Study, **cohort: object) -> None:
        self._study = study
        self.user_attrs = study.user_attrs | {"cohort": study.user_attrs["cohort"] | cohort}

    def __getattr__(self, name: str) -> object:
        return getattr(self._study, name)


def test_the_flow_adds_up(evidence: Evidence) -> None:
    excluded = {"no_expression": 3, "missing_sequence": 0}
    study = WithCohort(evidence.study, excluded=excluded)
    flow = flow_of(replace(evidence, study=study))  # type: ignore[arg-type]
    assert flow.biopsies == flow.analysed + 3
    assert flow.excluded == {"no expression": 3}
    assert flow.positive + flow.negative == flow.analysed
    assert flow.rule.startswith("CD3D above ")


def test_without_the_cohort_nobody_knows_how_many_participants_it_has(evidence: Evidence) -> None:
    assert evidence.material is not None
    assert flow_of(evidence).participants == len(evidence.material.source.participants)
    bare = flow_of(replace(evidence, material=None))
    assert bare.participants is None
    lines = texts(flow_figure(bare))
    assert lines.count(f"{bare.analysed_participants} participants") == 1


def test_the_design_names_the_cut_and_the_rule_of_selection(evidence: Evidence) -> None:
    rows = dict(design_table(evidence).rows)
    assert "whole cohort's" in str(rows["cut between the classes"])
    assert "mean rank" in str(rows["selection"])
    assert rows["folds"] == "3, grouped by participant, 1 table"


def test_hashes_are_the_frozen_ones(evidence: Evidence) -> None:
    rows = dict(hashes_table(evidence).rows)
    assert evidence.material is not None
    assert rows["fold table of the search"] == evidence.material.folds.hash
    assert rows["patches at the largest radius"] == evidence.material.patches.hash
    assert rows["labels"] == evidence.material.labels_hash


def test_folds_are_listed_by_pseudonyms_in_the_order_of_the_study(evidence: Evidence) -> None:
    assert evidence.material is not None
    table = folds_table(evidence.material.folds, evidence)
    assert [row[2] for row in table.rows] == evidence.material.folds.fold[0].tolist()
    people = evidence.material.participant
    assert [row[1] for row in table.rows] == [evidence.names.participant[person] for person in people]
    assert len(folds_section(evidence).blocks) == 4


def test_versions_are_those_that_ran_the_trials(evidence: Evidence) -> None:
    booked = booked_versions(evidence.trials[0])
    assert booked is not None
    rows = {row[0]: row for row in versions_table(evidence).rows}
    assert rows["optuna"][1] == booked["optuna"]


def test_seeds_and_machines_are_told_and_no_machine_by_its_name(evidence: Evidence) -> None:
    assert [row[1] for row in seeds_table(evidence).rows][:2] == [0, 0]
    rows = machines_table(evidence).rows
    assert [row[0] for row in rows] == ["machine 1"] * len(rows)
    assert socket.gethostname() not in str(rows)
    assert sum(int(row[2]) for row in rows) == 18
