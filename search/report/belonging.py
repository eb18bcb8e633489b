"""The records that lie in a study's folder, those alone that are of this very study.

A study that was deleted leaves its folder, and another of its name may take it over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

import optuna

from data_prep.folds import FoldTable, read_folds
from data_prep.problems import InputError
from search.audit.record import Audit, read_audit
from search.home import StudyFolder
from search.material import Material
from search.opening import IDENTITY, study_id
from search.refits.fit import context_from
from search.refits.nested import Nested, read_nested
from search.refits.nesting import outer_table
from search.refits.orders import NULLS
from search.refits.permutation import Permutation, read_permutation
from search.refits.rescored import SchemeScores, read_rescored
from search.report.agreement import Agreement, read_agreement
from search.report.importance import Importance, read_importance
from search.study_file import Study

AUDITED = {"patches": "cohort.patches", "labels": "cohort.labels", "folds": "folds.hash"}


def audit_of(study: optuna.Study, folder: StudyFolder) -> Audit | None:
    """The audit of the study's patches, labels and folds; None where there is none of just these."""
    audit, identity = read_audit(folder), study.user_attrs.get(IDENTITY, {})
    if audit is None:
        return None
    own = all(audit.hashes.get(part) == identity.get(key, "") for part, key in AUDITED.items())
    return audit if own else None


def permutations_of(study: optuna.Study, folder: StudyFolder) -> Iterator[Permutation]:
    """The permutation tests of the study, by its id."""
    for null in NULLS:
        found = read_permutation(folder, null)
        if found is not None and found.study_id == study.user_attrs.get("id"):
            yield found


def rescored_of(study: optuna.Study, folder: StudyFolder) -> Mapping[str, SchemeScores]:
    """What was scored again of the study, by its id."""
    found = read_rescored(folder) or {}
    return {scheme: scores for scheme, scores in found.items() if scores.study == study_id(study)}


def agreement_of(study: optuna.Study, folder: StudyFolder) -> Agreement | None:
    """What second scans say of the study, by its id; None where they were not compared."""
    found = read_agreement(folder)
    return found if found is not None and found.study_id == study.user_attrs.get("id") else None


def nested_of(
    study: optuna.Study, definition: Study, folder: StudyFolder, material: Material | None
) -> Nested | None:
    """The nested cross-validation of the study; None where there is none.

    It has the study's id. One that was made before the study began has none: then its outer folds tell. Its
    outer table is the study's, or so many repeats of it. More repeats than the study has are made from
    the labels, so that without the cohort it cannot be told whose they are.
    """
    found, own = read_nested(folder), _folds(study, folder)
    if found is not None and found.study_id:
        return found if found.study_id == study_id(study) else None
    if found is None or own is None:
        return None
    if found.repeats <= len(own.fold):
        table = replace(own, fold=own.fold[: found.repeats])
    elif material is not None:
        table = outer_table(material, definition.validation, found.repeats)
    else:
        return None
    return found if table.hash == found.table else None


def _folds(study: optuna.Study, folder: StudyFolder) -> FoldTable | None:
    """The fold table in the folder, where it is the study's."""
    with suppress(InputError, OSError):
        table = read_folds(folder.folds)
        return table if table.hash == study.user_attrs.get(IDENTITY, {}).get("folds.hash") else None
    return None


def importance_of(study: optuna.Study, definition: Study, folder: StudyFolder) -> Importance | None:
    """The importance on the study's patches and labels with its settings; None where there is none."""
    found, identity = read_importance(folder.root), study.user_attrs.get(IDENTITY, {})
    if found is None or not {"cohort.patches", "cohort.labels"} <= identity.keys():
        return None
    contents = (identity.get(key, "") for key in ("cohort.patches", "cohort.labels", "cohort.second"))
    context = context_from(definition, *contents)
    return found if found.context == context else None
