import pytest

from data_prep.cohort import read_cohort


def test_expression_is_looked_up_by_biopsy_and_gene(cohort_folder):
    expression = read_cohort(cohort_folder).expression
    row = (cohort_folder / "expression.tsv").read_text().splitlines()[3].split("\t")
    assert expression.genes == ("CD3D", "CD3E")
    assert expression.tpm(row[0], "CD3E") == float(row[2])
    assert expression.tpm("nobody", "CD3D") is None
    with pytest.raises(KeyError, match="TP53"):
        expression.tpm(row[0], "TP53")


def test_records_cannot_be_changed(cohort_folder):
    biopsy = read_cohort(cohort_folder).biopsies[0]
    with pytest.raises(AttributeError, match="cannot assign"):
        biopsy.row = 7
    with pytest.raises(TypeError, match="does not support item assignment"):
        biopsy.columns["x"] = "7"


def test_an_absent_sequence_is_left_out_of_the_images(tmp_path, make_cohort):
    cohort = read_cohort(
        make_cohort(tmp_path, participants=2, biopsies=2, size=8, missing={(1, "T2")}, sequences=("T1", "T2"))
    )
    assert [list(cohort.images(biopsy, cohort.sequences)) for biopsy in cohort.biopsies] == [
        ["T1", "T2"],
        ["T1"],
    ]


def test_paths_inside_the_cohort_are_quoted_short(cohort_folder):
    cohort = read_cohort(cohort_folder)
    assert cohort.label_of(cohort_folder / "sub-000" / "T1.nii.gz") == "sub-000/T1.nii.gz"
    assert cohort.label_of(cohort_folder.parent / "other.nii") == str(cohort_folder.parent / "other.nii")
