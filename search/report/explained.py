"""The section on what the model of a study looks at, from the explanations in its newest model folder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from search.explaining.explanations import Explanations
from search.explaining.pictures import occlusion_figure, permutation_figure
from search.explaining.words import CAVEATS, occlusion_words, permutation_words, who_was_asked
from search.pseudonyms import Names
from search.report.blocks import Cell, Command, Picture, Section, Table, Text
from search.report.evidence import Evidence
from search.report.newest_model import NewestModel
from search.report.phrases import listed

ANCHOR, TITLE = "explained", "What the model looks at"
SHOWN = 12  # biopsies on the page; the file has all


def explained_section(evidence: Evidence) -> Section:
    """What the newest model of the study looks at; what to type where there is none, or none is explained."""
    model = evidence.model
    if model is None or model.explanations is None:
        return Section.of(ANCHOR, TITLE, Command(_why(model), f"radsearch refit {evidence.name}"))
    found = model.explanations
    return Section.of(
        ANCHOR,
        TITLE,
        Text(f"{_whose(model, evidence)} {who_was_asked(found)}"),
        Picture("model-permutation", permutation_figure(found), permutation_words(found)),
        Picture("model-occlusion", occlusion_figure(found), occlusion_words()),
        sequences_table(found),
        biopsies_table(found, evidence.names),
        Text(" ".join(CAVEATS), "note"),
    )


def _why(model: NewestModel | None) -> str:
    """Why nothing is shown."""
    if model is None:
        return "There is no model of this study in the home. To train one on all biopsies, and see:"
    if not model.is_whole:
        return (
            f"The folder of {model.title}, was changed since it was made, so that nothing in it is shown. To "
            "make it again:"
        )
    return f"{model.title}, was made without explanations. To make it again with them:"


def _whose(model: NewestModel, evidence: Evidence) -> str:
    """Which model this is of, and whether it is what the study selects."""
    numbers = listed([str(trial) for trial in model.facts.trials])
    trials = f"{'trial' if len(model.facts.trials) == 1 else 'trials'} {numbers}"
    selected = evidence.honest.trials if evidence.honest else ()
    outdated = ""
    if set(model.facts.trials) != set(selected):
        named = model.facts.rule == "named"
        outdated = " That trial was named by hand." if named else " The study selects others by now."
    return f"This is of the model {model.title}, made of {trials}.{outdated}"


def sequences_table(found: Explanations) -> Table:
    """What each sequence costs when exchanged, and adds when it is not covered."""
    columns = (
        "label",
        "sequence",
        "loss of AUC",
        "error",
        "p",
        "biopsies",
        "mean change of log-odds",
        "error of it",
        "mean size of it",
        "error of that",
    )
    rows = tuple(row for label in range(len(found.labels)) for row in _sequences(found, label))
    aucs = listed([_auc(found, label) for label in range(len(found.labels))])
    return Table(
        "model-sequences", f"What each sequence is worth to the model; AUC within folds {aucs}", columns, rows
    )


def _auc(found: Explanations, label: int) -> str:
    auc = found.permutation[label].roc_auc
    return f"{'undefined' if auc is None else f'{auc:.3f}'} of {found.labels[label]}"


def _sequences(found: Explanations, label: int) -> Iterator[tuple[Cell, ...]]:
    told, losses = found.whole(label), found.permutation[label].losses
    for place in found.order(label):
        lost: tuple[Cell, ...] = (None, None, None)
        if losses:
            lost = (losses[place].drop, losses[place].error, losses[place].p_value)
        means = (told.mean, told.error, told.absolute, told.absolute_error)
        yield (
            found.labels[label],
            found.sequences[place],
            *lost,
            int(told.count[place]),
            *(_number(mean[place]) for mean in means),
        )


def biopsies_table(found: Explanations, names: Names) -> Table:
    """What each sequence adds in each biopsy, by the names of the page."""
    occlusion, several = found.occlusion, len(found.labels) > 1
    rows: list[tuple[Cell, ...]] = []
    for place in np.argsort(occlusion.row):
        start = (names.biopsy[occlusion.row[place]], names.participant[occlusion.participant[place]])
        for label, name in enumerate(found.labels):
            rows.append(
                (
                    *start,
                    int(occlusion.fold[place]),
                    *((name,) if several else ()),
                    float(occlusion.logit[place, label]),
                    *(_number(effect) for effect in occlusion.whole[place, label]),
                )
            )
    return Table(
        "model-biopsies",
        "Log-odds of each held-out biopsy, and what each sequence adds to them",
        ("biopsy", "participant", "fold", *(("label",) if several else ()), "log-odds", *found.sequences),
        tuple(rows),
        note="A dash: the biopsy lacks the sequence. Effects of sequences need not add up to the log-odds.",
        shown=SHOWN,
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
