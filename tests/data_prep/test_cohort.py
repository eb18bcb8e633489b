from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort, read_sites
from data_prep.problems import InputError


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def set_cell(path: Path, row: int, column: str, value: str) -> None:
    """Change a cell by its row number in an editor."""
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    lines[row - 1][lines[0].index(column)] = value
    path.write_text("".join("\t".join(line) + "\n" for line in lines))


def problems_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(InputError, match=":") as caught:
        read_cohort(folder)
    return caught.value.problems


def test_a_cohort_is_read_in_the_order_of_its_table(cohort_folder):
    cohort = read_cohort(cohort_folder)
    assert cohort.name == "toy"
    assert [b.biopsy_id for b in cohort.biopsies] == [f"b{k:02}" for k in range(8)]
    assert [b.row for b in cohort.biopsies] == list(range(2, 10))
    assert cohort.participants == ("sub-000", "sub-001", "sub-002", "sub-003")
    assert cohort.image_path(cohort.biopsies[1], "T2") == cohort_folder / "sub-001" / "T2.nii.gz"
    assert read_cohort(cohort_folder / "cohort.toml").biopsies == cohort.biopsies


def test_a_sound_cohort_is_read_without_opening_an_image(cohort_folder, monkeypatch):
    monkeypatch.setattr("data_prep.survey.open_volume", lambda path: pytest.fail(f"opened {path}"))
    assert len(read_cohort(cohort_folder).biopsies) == 8


def test_the_real_atlas_loads_as_it_is(shared_cohort):
    cohort = read_cohort(shared_cohort("glioma_atlas3d"))
    assert (len(cohort.biopsies), len(cohort.participants)) == (220, 22)
    assert cohort.expression is not None
    assert len(cohort.expression.biopsy_id) == 165
    assert cohort.biopsies[2].position == (93.5, 142.0, 105.0)


def test_the_real_mr_case_loads_as_it_is(shared_cohort):
    cohort = read_cohort(shared_cohort("glioma_mr_case"))
    assert cohort.expression is None
    assert cohort.coordinates.space == "world"
    mask = cohort.mask_path(cohort.biopsies[0], "tumor")
    assert mask is not None
    assert mask.is_file()
    assert cohort.mask_path(cohort.biopsies[0], "brain") is None


@pytest.mark.parametrize(
    ("row", "column", "value", "problem"),
    [
        (3, "x", "abc", "biopsies.tsv: row 3, column x: a number is needed, but got 'abc'."),
        (4, "z", "n/a", "biopsies.tsv: row 4, column z: a number is needed, but got 'n/a'."),
        (5, "biopsy_id", "b00", "row 5, column biopsy_id: must be unique, but got 'b00' as in row 2."),
        (6, "biopsy_id", "n/a", "biopsies.tsv: row 6, column biopsy_id: a value is needed, but got 'n/a'."),
        (7, "participant_id", "../sub-001", "row 7, column participant_id: must be a plain name"),
        (7, "participant_id", "..", "row 7, column participant_id: must be a plain name"),
        (7, "participant_id", "/etc", "row 7, column participant_id: must be a plain name"),
        (7, "participant_id", "a\\b", "row 7, column participant_id: must be a plain name"),
        (8, "participant_id", "sub-9", "row 8: at least one image of the biopsy must exist"),
        (9, "x", "99", "row 9, columns x, y, z: a site must lie inside the grid (12, 12, 12), but got (99, "),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column(cohort_folder, row, column, value, problem):
    set_cell(cohort_folder / "biopsies.tsv", row, column, value)
    if value == "99":
        set_cell(cohort_folder / "biopsies.tsv", 2, "y", "text")
    assert any(problem in line for line in problems_of(cohort_folder))


def test_a_bad_cell_says_nothing_of_grids_that_a_study_may_resample(cohort_folder):
    path = cohort_folder / "sub-001" / "T2.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4)), path)
    set_cell(cohort_folder / "biopsies.tsv", 2, "x", "NA")
    (line,) = problems_of(cohort_folder)
    assert line == "biopsies.tsv: row 2, column x: a number is needed, but got 'NA'."


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("high", "a number is needed, but got 'high'. Write n/a for a missing value."),
        ("-1.5", "expression cannot be negative, but got -1.5."),
        ("inf", "a number is needed, but got 'inf'. Write n/a for a missing value."),
    ],
)
def test_bad_expression_is_named_by_row_and_column(cohort_folder, value, problem):
    set_cell(cohort_folder / "expression.tsv", 4, "CD3E", value)
    assert problems_of(cohort_folder) == (f"expression.tsv: row 4, column CD3E: {problem}",)


def test_missing_expression_is_none(cohort_folder):
    set_cell(cohort_folder / "expression.tsv", 4, "CD3E", "n/a")
    expression = read_cohort(cohort_folder).expression
    assert expression.tpm("b02", "CD3E") is None
    assert expression.tpm("b02", "CD3D") > 0


def test_expression_of_other_biopsies_only_is_a_problem(cohort_folder):
    path = cohort_folder / "expression.tsv"
    path.write_text(path.read_text().replace("\nb", "\nsample-"))
    (line,) = problems_of(cohort_folder)
    assert "row 2, column biopsy_id: some row must name one of the biopsies, but got 'sample-00'" in line


def test_an_unknown_placeholder_is_a_problem(cohort_folder):
    replace(cohort_folder / "cohort.toml", "{participant_id}", "{participant}")
    (line,) = problems_of(cohort_folder)
    assert line.startswith(
        "cohort.toml: images: unknown column 'participant'; did you mean 'participant_id'?"
    )


def test_other_columns_can_be_placeholders(cohort_folder):
    table = cohort_folder / "biopsies.tsv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0] + "\tsession", *(line + "\tses-1" for line in lines[1:])]) + "\n")
    replace(cohort_folder / "cohort.toml", "{participant_id}/", "{participant_id}/{session}/")
    for folder in cohort_folder.glob("sub-*"):
        (folder / "ses-1").mkdir()
        for file in folder.glob("*.nii.gz"):
            file.rename(folder / "ses-1" / file.name)
    cohort = read_cohort(cohort_folder)
    assert cohort.image_path(cohort.biopsies[0], "T1").parent.name == "ses-1"


def test_who_was_not_scanned_again_may_have_no_value_in_the_columns_of_repeats(cohort_folder):
    table, toml = cohort_folder / "biopsies.tsv", cohort_folder / "cohort.toml"
    lines = table.read_text().splitlines()
    table.write_text(
        "\n".join([lines[0] + "\tagain", lines[1] + "\tses-2", *(x + "\tn/a" for x in lines[2:])])
    )
    toml.write_text(toml.read_text() + "[repeats]\nimages = '{participant_id}/{again}/{sequence}.nii.gz'\n")
    assert len(read_cohort(cohort_folder).biopsies) == 8
    set_cell(table, 2, "again", "..")
    assert problems_of(cohort_folder)[0].startswith("biopsies.tsv: row 2, column again: must be a plain name")


def test_a_sequence_that_nobody_has_is_a_problem(cohort_folder):
    replace(cohort_folder / "cohort.toml", "'T2'", "'T3'")
    (line,) = problems_of(cohort_folder)
    assert line.startswith(
        "cohort.toml: sequences: somebody must have 'T3', but no file exists, such as sub-000/T3"
    )


def test_problems_of_tables_and_images_come_together(cohort_folder):
    set_cell(cohort_folder / "biopsies.tsv", 2, "x", "text")
    set_cell(cohort_folder / "biopsies.tsv", 3, "y", "500")
    set_cell(cohort_folder / "expression.tsv", 5, "CD3D", "text")
    broken = cohort_folder / "sub-002" / "T1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-3000])
    nan = np.zeros((12, 12, 12), dtype=np.float32)
    nan[3, 4, 5] = np.nan
    good = nib.load(cohort_folder / "sub-003" / "T1.nii.gz")
    nib.save(nib.Nifti1Image(nan, good.affine), cohort_folder / "sub-003" / "T2.nii.gz")
    lines = problems_of(cohort_folder)
    assert [line.split(":")[0] for line in lines] == [
        "biopsies.tsv",
        "expression.tsv",
        "biopsies.tsv",
        "sub-002/T1.nii.gz",
        "sub-003/T2.nii.gz",
    ]


def test_missing_columns_are_reported_at_once(cohort_folder):
    replace(cohort_folder / "biopsies.tsv", "biopsy_id\tparticipant_id", "biopsy\tparticipant")
    lines = problems_of(cohort_folder)
    assert [line.split(":")[1] for line in lines[:2]] == [
        " row 1, column biopsy_id",
        " row 1, column participant_id",
    ]


def test_a_mask_that_is_declared_and_that_nobody_has_is_a_problem(cohort_folder):
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('\n[masks]\nbrain = "{participant_id}/brian.nii.gz"\n')
    (line,) = problems_of(cohort_folder)
    assert line.startswith("cohort.toml: masks.brain: somebody must have it, but no file exists")
    assert "sub-000/brian.nii.gz" in line


SITES = "biopsy_id\tparticipant_id\tx\ty\tz\nnew\tsub-000\t0.4\t1\t-2\nfar\tsub-003\t1\t1\t1\n"


def test_sites_are_read_as_biopsies_are(cohort_folder, tmp_path):
    cohort = read_cohort(cohort_folder)
    again = read_sites(cohort, cohort_folder / "biopsies.tsv")
    assert again.biopsies == cohort.biopsies
    (tmp_path / "sites.tsv").write_text(SITES)
    found = read_sites(cohort, tmp_path / "sites.tsv")
    assert [(site.biopsy_id, site.participant_id, site.position) for site in found.biopsies] == [
        ("new", "sub-000", (0.4, 1.0, -2.0)),
        ("far", "sub-003", (1.0, 1.0, 1.0)),
    ]
    assert found.image_path(found.biopsies[1], "T1") == cohort_folder / "sub-003/T1.nii.gz"
    assert found.coordinates == cohort.coordinates
    assert found.expression is None


def test_sites_may_be_of_participants_that_have_no_biopsy(cohort_folder, tmp_path):
    (cohort_folder / "sub-003").rename(cohort_folder / "sub-new")
    table = cohort_folder / "biopsies.tsv"
    table.write_text("".join(line for line in table.open() if "sub-003" not in line))
    (tmp_path / "sites.tsv").write_text(SITES.replace("sub-003", "sub-new"))
    found = read_sites(read_cohort(cohort_folder), tmp_path / "sites.tsv")
    assert found.participants == ("sub-000", "sub-new")


def test_all_that_is_wrong_with_sites_is_told_at_once(cohort_folder, tmp_path):
    replace(cohort_folder / "cohort.toml", "{participant_id}/{seq", "{participant_id}/{session}/{seq")
    table = cohort_folder / "biopsies.tsv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{head}\tsession", *(f"{row}\tses-1" for row in rows)]))
    for folder in cohort_folder.glob("sub-*"):
        (folder / "ses-1").mkdir()
        for image in folder.glob("*.nii.gz"):
            image.rename(folder / "ses-1" / image.name)
    cohort, sites = read_cohort(cohort_folder), tmp_path / "sites.tsv"
    sites.write_text(SITES)
    with pytest.raises(InputError) as caught:
        read_sites(cohort, sites)
    assert caught.value.problems == (
        "sites.tsv: row 1, column session: the column is required, but missing. Known: biopsy_id, "
        "participant_id, x, y, z",
    )
    rows = ("new\tsub-000\tleft", "new\tsub-000\t99", "far\tsub-009\t1", "new\tsub-001\t1")
    whole = (f"{row}\t1\t1\tses-1" for row in rows)
    sites.write_text("\n".join([SITES.split("\n")[0] + "\tsession", *whole]))
    with pytest.raises(InputError) as caught:
        read_sites(cohort, sites)
    assert [line.split(": ")[:2] for line in caught.value.problems] == [
        ["sites.tsv", "row 2, column x"],
        ["sites.tsv", "row 5, column biopsy_id"],
        ["sites.tsv", "row 4"],
        ["sites.tsv", "row 3, columns x, y, z"],
    ]
