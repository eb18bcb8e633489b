"""What a model looks at, in the words and tables of its card."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from search.deployment.facts import ModelFacts
from search.deployment.markdown import bullets, escaped, table
from search.explaining.explanations import FOLDER, Explanations
from search.explaining.pictures import OCCLUSION, PERMUTATION
from search.explaining.words import CAVEATS, occlusion_words, permutation_words, who_was_asked
from search.report.phrases import decimal


def explained(facts: ModelFacts, found: Explanations | None) -> Iterator[str]:
    """The blocks of the section.

    Args:
        facts: Of the model.
        found: What it looks at; None where it was not explained.
    """
    if found is None:
        why = "" if facts.folds else ", as it has no models of the folds"
        yield f"It was not explained{why}."
        return
    yield escaped(who_was_asked(found))
    yield escaped(permutation_words(found))
    yield f"![Loss of AUC by sequence]({FOLDER}/{PERMUTATION})"
    yield escaped(occlusion_words())
    yield f"![What each part of a patch adds]({FOLDER}/{OCCLUSION})"
    for label, name in enumerate(found.labels):
        if len(found.labels) > 1:
            yield f"### {escaped(name)}"
        yield table(
            ("sequence", "loss of AUC", "error", "p", "mean change of log-odds", "error", "mean size of it"),
            _rows(found, label),
        )
    yield bullets(escaped(line) for line in CAVEATS)


def _rows(found: Explanations, label: int) -> Iterator[tuple[str, ...]]:
    """A sequence each, the one that costs most first."""
    told, losses = found.whole(label), found.permutation[label].losses
    for place in found.order(label):
        lost = ("-", "-", "-")
        if losses:
            one = losses[place]
            lost = (decimal(one.drop, 3, sign=True), decimal(one.error, 3), f"{one.p_value:.2g}")
        yield (
            escaped(found.sequences[place]),
            *lost,
            _number(told.mean[place], sign=True),
            _number(told.error[place]),
            _number(told.absolute[place]),
        )


def _number(value: float, sign: bool = False) -> str:
    return decimal(float(value), 3, sign) if np.isfinite(value) else "-"
