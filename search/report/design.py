"""The words of the report for what a study file may choose of input and labels."""

from __future__ import annotations

from collections import defaultdict

from search.material import Material
from search.report.phrases import counted, listed
from search.study_file import Study


def further_labels_row(study: Study) -> list[tuple[str, str]]:
    """A row that names what is learned beside the outcome, where anything is."""
    definition = study.label.definition
    rows = []
    if definition.is_regression:
        rows.append(("learned", "the value itself, by a regression; the cut serves the metrics alone"))
    if len(definition.heads) > 1:
        rows.append(("learned beside it", f"{listed(definition.heads[1:])}, by the same rule"))
    return rows


def slices_words(study: Study) -> str:
    """How many slices a patch has, and how far apart.

    >>> slices_words(Study(name="a", space={}))
    '1 slice'
    """
    slices, apart = study.input.slices, study.input.slice_mm
    return counted(slices, "slice") + ("" if apart == "native" else f" {apart} mm apart")


def grids_words(study: Study) -> str:
    """What becomes of a participant's sequences that lie on different grids."""
    reference = study.input.resample_to
    if reference is None:
        return "refused"
    return f"resampled to that of {reference}, for those who lack it to their finest"


def normalisation_words(study: Study, material: Material | None) -> str:
    """The method of each sequence, those of one method together."""
    chosen = study.input.normalisation
    if material is None:
        return chosen if isinstance(chosen, str) else listed([f"{k}: {v}" for k, v in chosen.items()])
    by_method = defaultdict(list)
    for sequence, method in zip(material.patches.sequences, material.patches.request.methods, strict=True):
        by_method[method].append(sequence)
    if len(by_method) == 1:
        return next(iter(by_method))
    return "; ".join(f"{method}: {listed(names)}" for method, names in by_method.items())
