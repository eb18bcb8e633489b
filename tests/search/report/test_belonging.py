"""A record in a study's folder counts where it is of this very study, not of a deleted one of its name."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from search.audit.record import Audit, write_audit
from search.home import Home, StudyFolder
from search.opening import study_id
from search.refits.fit import context_of
from search.refits.nested import Nested, OuterFold, write_nested
from search.refits.nesting import outer_table
from search.report.belonging import AUDITED, audit_of, importance_of, nested_of
from search.report.evidence import Evidence
from search.report.importance import Importance, write_importance

NESTED = Nested(
    study="shallow",
    metric="roc_auc",
    rule={},
    configurations=1,
    inner_folds=2,
    outer_folds=2,
    repeats=1,
    table="t",
    folds=(OuterFold(0, 0, (0,), ({},), 0.6, 0.5), OuterFold(0, 1, (0,), ({},), 0.6, 0.5)),
    performance={},
    informative_pairs=0,
    fits=0,
    failed=0,
    fit_seconds=0.0,
    overrides=(),
    protocol="p",
    versions={},
)


@pytest.fixture
def folder(evidence: Evidence, tmp_path: Path) -> StudyFolder:
    """A copy of the study's folder."""
    copy = Home.at(tmp_path / "home").study(evidence.name)
    shutil.copytree(evidence.folder.root, copy.root)
    return copy


@pytest.mark.parametrize("part", [None, *AUDITED])
def test_an_audit_is_the_studys_where_patches_labels_and_folds_are(
    evidence: Evidence, folder: StudyFolder, part: str | None
) -> None:
    identity = evidence.study.user_attrs["identity"]
    hashes = {name: identity[key] for name, key in AUDITED.items()} | ({part: "another"} if part else {})
    write_audit(folder, Audit(evidence.name, "2026-01-01", 1.0, hashes, {}, ()))
    assert (audit_of(evidence.study, folder) is None) == (part is not None)


def test_an_audit_without_hashes_is_nobodys(evidence: Evidence, folder: StudyFolder) -> None:
    assert audit_of(evidence.study, folder) is None
    write_audit(folder, Audit(evidence.name, "2026-01-01", 1.0, {}, {}, ()))
    assert audit_of(evidence.study, folder) is None


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_nested_validation_is_the_studys_where_its_outer_folds_are(
    evidence: Evidence, folder: StudyFolder, repeats: int
) -> None:
    material = evidence.material
    assert material is not None
    table = outer_table(material, evidence.definition.validation, repeats)
    write_nested(folder, replace(NESTED, repeats=repeats, table=table.hash))
    found = nested_of(evidence.study, evidence.definition, folder, material)
    assert found is not None
    assert found.table == table.hash
    bare = nested_of(evidence.study, evidence.definition, folder, None)
    assert (bare is None) == (repeats > 1)
    write_nested(folder, replace(NESTED, repeats=repeats, table="another"))
    assert nested_of(evidence.study, evidence.definition, folder, material) is None


def test_a_nested_validation_with_an_id_is_the_studys_whose_id_it_is(
    evidence: Evidence, folder: StudyFolder
) -> None:
    for own in (True, False):
        number = study_id(evidence.study) if own else "another"
        write_nested(folder, replace(NESTED, study_id=number))
        assert (nested_of(evidence.study, evidence.definition, folder, None) is not None) == own


def test_importance_is_the_studys_where_its_context_is(evidence: Evidence, folder: StudyFolder) -> None:
    assert evidence.material is not None
    context = context_of(evidence.definition, evidence.material)
    for own in (True, False):
        write_importance(
            Importance(0, 0, 1, context if own else "another", 0.6, ("T1",), ((0.1,),), (0.1,)), folder.root
        )
        assert (importance_of(evidence.study, evidence.definition, folder) is not None) == own
