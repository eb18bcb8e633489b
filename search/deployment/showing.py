"""What a model is shown of sites: the patches and places that training would have cut, by the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data_prep.features.location import location
from data_prep.patches import extract_patches
from data_prep.records import Biopsy, Cohort
from data_prep.survey import Progress
from search.deployment.fitting_cohort import as_needed
from search.deployment.model import Model
from search.deployment.records import Shown


def shown_sites(
    model: Model, cohort: Cohort, biopsies: Sequence[Biopsy], progress: Progress | None = None
) -> Shown:
    """Read the images around sites.

    Args:
        model: Whose request is cut.
        cohort: Where the images are.
        biopsies: The sites, at least one.
        progress: As in `extract_patches`.

    Returns:
        A row a site, in their order.

    Raises:
        InputError: As `extract_patches`, and the problems of brain masks where a member reads locations.
    """
    mine = replace(as_needed(cohort, model), biopsies=tuple(biopsies))
    patches = extract_patches(mine, model.request, progress)
    if not model.predictor().reads_location:
        return Shown(patches)
    return Shown(patches, location(mine, model.request.sequences, model.request.resample_to))
