from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.deployment.sites import cohort_of_sites


def test_without_a_table_the_sites_are_the_biopsies(cohort_folder: Path) -> None:
    found = cohort_of_sites(cohort_folder, None)
    assert [site.biopsy_id for site in found.biopsies] == [f"b{n:02}" for n in range(8)]
    assert found.expression is not None


def test_a_table_names_other_sites_in_the_same_images(cohort_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sites.tsv").write_text("biopsy_id\tparticipant_id\tx\ty\tz\nnew\tsub-001\t0\t1\t2\n")
    (site,) = cohort_of_sites(cohort_folder, tmp_path / "sites.tsv").biopsies
    assert (site.biopsy_id, site.participant_id, site.position) == ("new", "sub-001", (0.0, 1.0, 2.0))


def test_a_table_that_is_none_is_refused(cohort_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sites.tsv: the file must be readable"):
        cohort_of_sites(cohort_folder, tmp_path / "sites.tsv")
