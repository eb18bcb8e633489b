"""What `radsearch refit` says of the model that it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from search.deployment.model import Model
from search.deployment.registering import Registered
from search.deployment.verification import Verification
from search.tables import number

Record = Mapping[str, Any]


def made_record(model: Model, verification: Verification, registered: Registered | None) -> dict[str, Any]:
    """All of it as plain data: what `--json` prints.

    Args:
        model: The folder.
        verification: What came of asking it again.
        registered: What MLflow has of it; None where it was left out.
    """
    facts = model.facts
    return {
        "model": {
            "folder": str(model.folder),
            "name": facts.name,
            "version": facts.version,
            "created": facts.created,
            "task": facts.task,
            "intended_use": facts.intended_use,
        },
        "study": facts.study,
        "selected": {"rule": facts.rule, "trials": list(facts.trials), "epochs": list(facts.epochs)},
        "members": {"all": len(facts.members_of(None)), "folds": facts.folds, "in_all": len(facts.members)},
        "training": asdict(facts.training),
        "labels": [asdict(label) for label in facts.labels],
        "metric": facts.metric,
        "honest": dict(facts.honest),
        "verification": verification.as_json(),
        "registered": registered and {**asdict(registered), "uri": registered.address},
    }


def made_tables(record: Record) -> list[Table]:
    """What was made, and its labels."""
    return [_about(record), _labels(record)]


def _about(record: Record) -> Table:
    table = Table(title="model", title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    selected, members, training = record["selected"], record["members"], record["training"]
    trials = ", ".join(map(str, selected["trials"]))
    of_folds = members["in_all"] - members["all"]
    held_out = f"{of_folds} of the {members['folds']} folds" if of_folds else "none of the folds"
    found = record["registered"]
    rows = {
        "folder": record["model"]["folder"],
        "selected": f"trial{'' if len(selected['trials']) == 1 else 's'} {trials} ({selected['rule']})",
        "members": f"{members['all']} of all biopsies, {held_out}",
        "learned from": f"{training['biopsies']} biopsies of {training['participants']} participants",
        "honest estimate": _honest(record),
        "registered as": "-" if found is None else f"{found['uri']}, version {found['version']}",
    }
    for name, text in rows.items():
        table.add_row(name, Text(text))
    return table


def _honest(record: Record) -> str:
    """What the study's selection is worth on participants that it has not seen."""
    honest = record["honest"]
    if honest.get("estimate") is None:
        return f"none: {honest.get('reason') or 'it has no value'}"
    low, high = honest["ci95"]
    interval = f" (95 % interval {number(low)} to {number(high)})" if None not in (low, high) else ""
    return f"{record['metric'].replace('_', ' ')} {number(honest['estimate'])}{interval}"


def _labels(record: Record) -> Table:
    """A row a label; how well it is told is by the biopsies that were held out."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("label", no_wrap=True)
    table.add_column("positive above")
    for name in ("threshold", "roc auc held out", "brier"):
        table.add_column(name, justify="right")
    for label in record["labels"]:
        held_out = label["out_of_fold"]
        table.add_row(
            Text(label["name"]),
            Text(f"{label['cut']:.4g} {label['unit']}".rstrip()),
            number(label["threshold"]),
            number(held_out["roc_auc"]),
            number(held_out["brier"]),
        )
    return table
