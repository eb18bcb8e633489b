"""Which sites `radsearch predict` is asked about: those of the cohort, or others in its images."""

from __future__ import annotations

from pathlib import Path

from data_prep.cohort import Cohort, read_cohort, read_sites
from data_prep.survey import Progress


def cohort_of_sites(folder: Path, sites: Path | None, progress: Progress | None = None) -> Cohort:
    """A cohort whose biopsies are the sites.

    Args:
        folder: Of the cohort.
        sites: A table as the cohort's biopsies.tsv; None for that itself.
        progress: As in `read_cohort`.

    Raises:
        InputError: Every problem of the cohort's tables; or, those being sound, of the sites'.
    """
    cohort = read_cohort(folder, progress)
    return cohort if sites is None else read_sites(cohort, sites, progress)
