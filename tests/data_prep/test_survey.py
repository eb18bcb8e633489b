import threading

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.problems import InputError, Problems
from data_prep.survey import check_images, first_grids, in_parallel, survey


def lines_of(problems: Problems) -> tuple[str, ...]:
    with pytest.raises(InputError, match=":") as caught:
        problems.raise_any()
    return caught.value.problems


def resave(path, data=None, affine=None):
    image = nib.load(path)
    voxels = np.asarray(image.dataobj) if data is None else data
    nib.save(nib.Nifti1Image(voxels, image.affine if affine is None else affine), path)


def test_biopsies_of_one_participant_form_a_visit(cohort_folder):
    problems = Problems()
    found = survey(read_cohort(cohort_folder), ("T1", "T2"), problems)
    assert [visit.rows.tolist() for visit in found.visits] == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert (len(problems), found.loose) == (0, ())
    assert set(found.visits[0].images) == {"T1", "T2"}


def test_world_sites_are_placed_in_the_grid(cohort_folder):
    cohort = read_cohort(cohort_folder)
    visit = survey(cohort, ("T1",), Problems()).visits[1]
    assert visit.sites.tolist() == [[c + 6 for c in cohort.biopsies[row].position] for row in visit.rows]


def test_sites_keep_their_own_place_beside_the_voxel_that_holds_them(tmp_path, make_cohort):
    folder = make_cohort(tmp_path, participants=1, biopsies=1, sequences=("T1",), size=10, space="voxel")
    table = folder / "biopsies.tsv"
    table.write_text(f"{table.read_text().splitlines()[0]}\nb00\tsub-000\t4.5\t3.49\t5.2504\n")
    (visit,) = survey(read_cohort(folder), ("T1",), Problems()).visits
    assert visit.sites.tolist() == [[5, 3, 5]]
    assert visit.positions.tolist() == [[4.5, 3.49, 5.25]]


def test_the_grid_is_told_by_the_reference_where_there_is_one(cohort_folder):
    resave(cohort_folder / "sub-001" / "T2.nii.gz", affine=nib.affines.from_matvec(np.eye(3) * 2, [-12] * 3))
    cohort = read_cohort(cohort_folder)
    for sequences in (("T1", "T2"), ("T1",)):
        visits = survey(cohort, sequences, Problems(), "T2").visits
        assert [visit.grid.voxel_size.tolist() for visit in visits] == [
            [1.0] * 3,
            [2.0] * 3,
            [1.0] * 3,
            [1.0] * 3,
        ]
        assert all(set(visit.images) == set(sequences) for visit in visits)
        edges = [grid.voxel_size[0] for grid in first_grids(cohort, sequences, "T2")]
        assert edges == [1.0, 2.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"data": np.zeros((12, 12, 11), np.float32)}, r"got shape \(12, 12, 11\)"),
        ({"affine": np.diag([1.0, 1.0, 1.2, 1.0])}, r"affine \[\[1.0"),
    ],
)
def test_volumes_on_different_grids_are_named(cohort_folder, change, got):
    resave(cohort_folder / "sub-001" / "T2.nii.gz", **change)
    problems = Problems()
    found = survey(read_cohort(cohort_folder), ("T1", "T2"), problems)
    (line,) = lines_of(problems)
    assert line.startswith(
        "sub-001/T2.nii.gz: volumes of one participant must lie on one grid, but got shape (12, 12"
    )
    assert "where sub-001/T1.nii.gz has shape (12, 12, 12)" in line
    assert len(found.visits) == 3
    assert len(found.loose) == 2


def test_a_mask_must_lie_on_the_grid_of_the_images(cohort_folder):
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('[masks]\ntumor = "{participant_id}/tumor.nii.gz"\n')
    nib.save(
        nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4)), cohort_folder / "sub-000" / "tumor.nii.gz"
    )
    problems = Problems()
    survey(read_cohort(cohort_folder), ("T1", "T2"), problems)
    assert lines_of(problems)[0].startswith(
        "sub-000/tumor.nii.gz: volumes of one participant must lie on one grid"
    )


def test_a_site_outside_in_voxel_space_names_its_column(tmp_path, make_cohort):
    folder = make_cohort(tmp_path, participants=2, biopsies=2, size=10, space="voxel")
    table = folder / "biopsies.tsv"
    lines = table.read_text().splitlines()
    table.write_text(f"{lines[0]}\nb00\tsub-000\t-0.5\t9.49\t0\nb01\tsub-001\t9.5\t4\t-1\n")
    problems = Problems()
    survey(read_cohort(folder), ("T1",), problems)
    assert lines_of(problems) == (
        "biopsies.tsv: row 3, column x: a site must lie inside the grid (10, 10, 10), but got x=9.5. "
        "Is 'space' in cohort.toml right?",
        "biopsies.tsv: row 3, column z: a site must lie inside the grid (10, 10, 10), but got z=-1. "
        "Is 'space' in cohort.toml right?",
    )


def test_world_coordinates_need_a_placed_image(cohort_folder):
    path = cohort_folder / "sub-000" / "T1.nii.gz"
    image = nib.load(path)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
    problems = Problems()
    survey(read_cohort(cohort_folder), ("T1",), problems)
    assert lines_of(problems)[0] == (
        "sub-000/T1.nii.gz: world coordinates need a placed grid, but sform_code and qform_code are both 0."
    )


def test_every_image_is_checked_to_its_end(cohort_folder):
    for name in ("sub-000/T1.nii.gz", "sub-003/T2.nii.gz"):
        (cohort_folder / name).write_bytes((cohort_folder / name).read_bytes()[:-2000])
    problems, done = Problems(), []
    check_images(read_cohort(cohort_folder), problems, lambda *at: done.append(at))
    assert [line.split(":")[0] for line in lines_of(problems)] == ["sub-000/T1.nii.gz", "sub-003/T2.nii.gz"]
    assert done == [(k, 8) for k in range(1, 9)]


def check(folder) -> tuple[str, ...]:
    problems = Problems()
    check_images(read_cohort(folder), problems)
    return lines_of(problems)


def test_what_a_study_may_resample_is_read_to_its_end_and_not_judged(cohort_folder):
    """Where grids differ nothing says where a site lies, but damage is damage; others are judged as ever."""
    resave(cohort_folder / "sub-001" / "T1.nii.gz", data=np.zeros((3, 3, 3), np.float32))
    damaged = cohort_folder / "sub-001" / "T2.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    lines = (cohort_folder / "biopsies.tsv").read_text().splitlines()
    far = [line.rsplit("\t", 3)[0] + "\t99\t0\t0" if "sub-002" in line else line for line in lines]
    (cohort_folder / "biopsies.tsv").write_text("\n".join([*far, ""]))
    found = check(cohort_folder)
    assert [line.split(":")[0] for line in found] == ["biopsies.tsv", "biopsies.tsv", "sub-001/T2.nii.gz"]
    assert "(99, 0, 0) mm, which is voxel (105, 6, 6)" in found[0]


def test_a_file_that_is_placed_nowhere_is_of_no_use_on_any_grid(cohort_folder):
    path = cohort_folder / "sub-000" / "T1.nii.gz"
    bare = nib.Nifti1Image(np.asarray(nib.load(path).dataobj), None)
    bare.header["sform_code"] = bare.header["qform_code"] = 0
    nib.save(bare, path)
    (line,) = check(cohort_folder)
    assert line.startswith("sub-000/T1.nii.gz: world coordinates need a placed grid")


def test_tumour_masks_are_checked_to_their_end_too(cohort_folder):
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('[masks]\ntumor = "{participant_id}/tumor.nii.gz"\n')
    path = cohort_folder / "sub-000" / "tumor.nii.gz"
    path.write_bytes((cohort_folder / "sub-000" / "T1.nii.gz").read_bytes()[:-2000])
    (line,) = check(cohort_folder)
    assert line.startswith("sub-000/tumor.nii.gz: the volume must be readable")


def test_at_least_two_items_are_worked_on_at_a_time_and_results_keep_their_order():
    together = threading.Barrier(2, timeout=10)

    def work(item: int) -> int:
        together.wait()
        return item * item

    assert in_parallel(work, range(6), None) == [0, 1, 4, 9, 16, 25]
