"""How a study is judged: what its rule selects, and what that is worth once the search is allowed for."""

from __future__ import annotations

from typing import Any

import optuna

from data_prep.problems import InputError
from search.facts import rule_of
from search.home import Home
from search.refits.permutation import read_permutation
from search.statistics.honest import METHOD, Honest, honest_estimate
from search.statistics.predictions import UnequalFoldsError

Part = dict[str, Any]

# Of `honest` in the record of a study without a complete trial, and of one whose estimate is not wanted.
UNJUDGED: Part = {
    "estimate": None,
    "ci95": [None, None],
    "method": None,
    "p_value": None,
    "claim": None,
    "reason": None,
    "selected_naive": None,
    "lower": None,
    "chance": None,
    "draws": 0,
    "configurations": 0,
    "distinct": 0,
    "handed_out": 0,
    "tuned_minus_default": None,
    "permutation": None,
}


def judgement(study: optuna.Study, home: Home) -> tuple[Part, Part]:
    """The `selected` and the `honest` part of a study's record.

    Returns:
        The trials that the study's rule selects, and the estimate of what was selected, as
        `radsearch show --json` prints them; "naive" is the caller's to add.
    """
    rule = rule_of(study)
    try:
        honest = honest_estimate(study, rule)
    except UnequalFoldsError as error:
        return {"rule": rule.name, "trials": []}, {**UNJUDGED, "reason": str(error)}
    if honest is None:
        return {"rule": rule.name, "trials": []}, {**UNJUDGED, "reason": "no trial is complete yet"}
    selected = {"rule": rule.name, "trials": list(honest.trials)}
    return selected, {**_part(honest), **_permutation(study, home)}


def _permutation(study: optuna.Study, home: Home) -> Part:
    """The p-value of the study's permutation test and what was permuted; nothing of an earlier study's."""
    try:
        found = read_permutation(home.study(study.study_name), "global")
    except InputError as error:  # it stays a remark: the trials are as they are
        return {"permutation": {"problem": str(error)}}
    if found is None or found.study_id != study.user_attrs.get("id"):
        return {}
    told = {
        "statistic": found.statistic,
        "permutations": found.permutations,
        "configurations": found.configurations,
        "reductions": list(found.reductions),
        "earlier": len(found.earlier),
        "caution": found.caution,
    }
    return {"p_value": found.p_value, "permutation": told}


def _part(honest: Honest) -> Part:
    difference = honest.tuned_minus_default
    return {
        **UNJUDGED,
        "estimate": honest.estimate,
        "ci95": [honest.low, honest.high],
        "method": None if honest.estimate is None else METHOD,
        "claim": honest.claim,
        "reason": honest.reason,
        "selected_naive": honest.selected_naive,
        "lower": honest.lower,
        "chance": honest.chance,
        "draws": len(honest.draws),
        "configurations": honest.configurations,
        "distinct": honest.distinct,
        "handed_out": honest.handed_out,
        "tuned_minus_default": difference
        and {
            "default_trial": difference.default_trial,
            "estimate": difference.estimate,
            "ci95": [difference.low, difference.high],
        },
    }
