"""What was asked of a model and what its answers mean, in the words that the card and the report share."""

from __future__ import annotations

from typing import Final

from search.explaining.explanations import Explanations
from search.report.phrases import counted

CAVEATS: Final = (
    "Importance is not causation: a sequence that matters to the model need not show what the label is "
    "made of, and one that does not may.",
    "Sequences that go together can stand in for each other: each alone then seems to matter little. An "
    "exchange, and a cover, also make patches that no patient has, of which the model never learned.",
    "A covered part is flat: a model of texture is then asked about a texture that no tissue has, and may "
    "answer alike whatever is covered.",
    "A model that predicts nothing has importances too: they are worth as much as the honest estimate.",
)


def who_was_asked(found: Explanations) -> str:
    """Which models were asked, about what."""
    people = counted(found.participants, "participant")
    return (
        f"The ensembles of the folds' models were asked, each about the biopsies held out from it "
        f"({counted(found.biopsies, 'biopsy')} of {people} in all), which none of its members learned from; "
        f"the models that learned from all biopsies were not. Tried were {found.chosen.words}"
    )


def permutation_words(found: Explanations) -> str:
    """How to read the losses of AUC."""
    draws = found.chosen.effort.draws
    return (
        "Loss of AUC: what the AUC within folds loses on average when a sequence is exchanged whole, "
        f"presence included, between the held-out biopsies of a fold, over {draws} exchanges; its error is "
        "over these, not over biopsies. p is the share of exchanges, the biopsies as they are counted among "
        f"them, after which these models rank these biopsies at least as well; {1 / (1 + draws):.2g} is the "
        "least possible. A sequence that no model reads loses exactly 0."
    )


def occlusion_words() -> str:
    """How to read the covered parts."""
    return (
        "Change of log-odds: the ensemble's log-odds of the label as the patch is, less those with a part of "
        "it covered by the image's own mean (of a quantitative map, by the mean of the training patches): "
        "above 0 the part speaks for the label. Means are over biopsies that have the sequence, errors over "
        "participants."
    )
