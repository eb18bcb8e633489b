from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import Cohort, Coordinates, read_cohort
from data_prep.geometry import Grid
from data_prep.phantom import PhantomSpec, write_phantom
from data_prep.phantom.hidden import draw_hidden
from data_prep.phantom.map_bound import Reach, map_bound
from data_prep.phantom.map_truth import Truth, truth_of
from data_prep.phantom.placing import draw_affine
from data_prep.phantom.plan import make_plan
from data_prep.phantom.truth_files import TrueSites
from data_prep.problems import InputError
from tests.data_prep.phantom.conftest import Written

NOWHERE = TrueSites((), np.zeros((0, 3)), np.zeros(0))

NULL = PhantomSpec(participants=3, biopsies=9, size=24, signal="none", orientation="mixed", seed=4)


@pytest.fixture(scope="session")
def null(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("phantom") / "null"
    return Written(folder, NULL, write_phantom(folder, NULL))


@pytest.fixture
def truth(phantom: Written) -> Truth:
    return truth_of(phantom.folder / "truth")


def grid_of(path: Path) -> Grid:
    image = nib.load(path)
    return Grid(image.shape, image.affine)


def grid_of_images(phantom: Written, participant: str) -> Grid:
    return grid_of(phantom.folder / participant / "tumor.nii.gz")


def exact(truth: Truth, participant: str, name: str, world: np.ndarray) -> np.ndarray:
    """The planted field at any places in mm, from its coefficients."""
    index = truth.plan.participants.index(participant)
    inverse = np.linalg.inv(draw_affine(truth.plan.spec, index))
    places = world @ inverse[:3, :3].T + inverse[:3, 3]
    hidden = draw_hidden(truth.plan, index, name)
    return np.array([hidden.at(*place[:, None]).item() for place in places])


def test_on_the_images_own_grid_it_is_the_field_as_planted(phantom: Written, truth: Truth) -> None:
    for participant in truth.plan.participants:
        grid = grid_of_images(phantom, participant)
        found = truth.field(participant, grid)
        file = nib.as_closest_canonical(nib.load(phantom.folder / f"truth/fields/{participant}.nii.gz"))
        np.testing.assert_array_equal(found, file.get_fdata().astype(np.float32))
        voxels = np.random.default_rng(0).integers(0, 24, (50, 3))
        world = nib.affines.apply_affine(grid.canonical_affine, voxels)
        drawn = exact(truth, participant, "field", world)
        np.testing.assert_allclose(found[tuple(voxels.T)], drawn, atol=6e-4)


def test_the_truth_of_a_phantom_without_signal_is_what_its_labels_follow(null: Written) -> None:
    truth = truth_of(null.folder / "truth")
    assert truth.is_null
    for participant in truth.plan.participants:
        grid = grid_of_images(null, participant)
        found = truth.field(participant, grid)
        voxels = np.random.default_rng(0).integers(0, 24, (50, 3))
        world = nib.affines.apply_affine(grid.canonical_affine, voxels)
        np.testing.assert_allclose(
            found[tuple(voxels.T)], exact(truth, participant, "null", world), atol=1e-4
        )
        shown = exact(truth, participant, "field", world)
        assert np.abs(found[tuple(voxels.T)] - shown).max() > 0.1
        assert truth.bound(participant, Reach()) is None


def test_how_the_files_are_stored_changes_nothing(phantom: Written, truth: Truth) -> None:
    path = phantom.folder / "sub-001" / "tumor.nii.gz"
    turned = nib.load(path).as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    found = truth.field("sub-001", Grid(turned.shape, turned.affine))
    np.testing.assert_array_equal(found, truth.field("sub-001", grid_of(path)))


def test_on_another_grid_it_is_the_field_at_the_same_places_of_the_world(
    phantom: Written, truth: Truth
) -> None:
    """An upright grid of other voxels over an oblique phantom; the exact field is the second opinion."""
    affine = np.diag([1.4, 1.4, 2.0, 1.0])
    affine[:3, 3] = -16
    grid = Grid((24, 24, 18), affine)
    found = truth.field("sub-002", grid)
    assert found.shape == (24, 24, 18)
    known = np.argwhere(np.isfinite(found))
    assert 0.2 < len(known) / found.size < 1
    places = nib.affines.apply_affine(affine, known)
    apart = np.abs(found[tuple(known.T)] - exact(truth, "sub-002", "field", places))
    own = np.linalg.inv(grid_of_images(phantom, "sub-002").canonical_affine)
    depth = np.minimum(*(nib.affines.apply_affine(own, places), 23 - nib.affines.apply_affine(own, places)))
    assert depth.min() >= -1e-6
    assert apart[depth.min(axis=1) > 3].max() < 0.005
    assert apart.max() < 0.1  # next to the border the spline has voxels on one side alone
    middle = np.rint(np.linalg.inv(affine)[:3, 3]).astype(int)
    assert np.isfinite(found[tuple(middle)])


def test_a_grid_elsewhere_is_refused(truth: Truth) -> None:
    affine = np.eye(4)
    affine[:3, 3] = 500
    with pytest.raises(InputError, match="must lie where the images are"):
        truth.field("sub-001", Grid((20, 20, 20), affine))


def test_an_unknown_participant_is_named_with_the_nearest(truth: Truth) -> None:
    with pytest.raises(InputError, match="got 'sub-01'; did you mean 'sub-001'") as refused:
        truth.field("sub-01", Grid((4, 4, 4), np.eye(4)))
    assert len(refused.value.problems) == 1


def test_the_bound_is_that_of_the_participants_own_sequences(truth: Truth) -> None:
    found = [truth.bound(name, Reach()) for name in truth.plan.participants]
    assert found == [map_bound(truth.plan, index, Reach()) for index in range(6)]
    assert len(set(found)) > 1


def test_its_own_cohort_is_recognised_in_either_convention(phantom: Written, truth: Truth) -> None:
    cohort = read_cohort(phantom.folder)
    truth.check(cohort)
    turned = tuple(
        replace(one, position=(-one.position[0], -one.position[1], one.position[2]))
        for one in cohort.biopsies
    )
    lps = Coordinates(space="world", convention="LPS")
    truth.check(replace(cohort, biopsies=turned, coordinates=lps))
    with pytest.raises(InputError, match="must be the truth of the cohort"):
        truth.check(replace(cohort, biopsies=turned))
    truth.check(replace(cohort, biopsies=turned, coordinates=Coordinates(space="voxel")))


def named_alike(cohort: Cohort, name: str) -> Cohort:
    return replace(cohort, biopsies=tuple(replace(one, participant_id=name) for one in cohort.biopsies))


def test_another_cohort_is_refused_in_one_line(null: Written, phantom: Written, truth: Truth) -> None:
    other = read_cohort(null.folder)
    for cohort, law in (
        (other, "was taken, but bx-0"),
        (named_alike(other, "P1"), "none of its participants"),
    ):
        with pytest.raises(InputError, match=law) as refused:
            truth.check(cohort)
        assert len(refused.value.problems) == 1


def copy_of(written: Written, place: Path) -> Path:
    return Path(shutil.copytree(written.folder / "truth", place / "truth"))


def test_a_changed_or_missing_field_is_refused(phantom: Written, tmp_path: Path) -> None:
    folder, grid = copy_of(phantom, tmp_path), grid_of_images(phantom, "sub-001")
    shutil.copy(folder / "fields/sub-002.nii.gz", folder / "fields/sub-001.nii.gz")
    with pytest.raises(InputError, match=r"sub-001.nii.gz: .*its content was changed"):
        truth_of(folder).field("sub-001", grid)
    (folder / "fields/sub-001.nii.gz").unlink()
    with pytest.raises(InputError, match=r"sub-001.nii.gz: the field must be readable"):
        truth_of(folder).field("sub-001", grid)


def test_a_seed_that_draws_other_labels_is_refused(null: Written, tmp_path: Path) -> None:
    folder = copy_of(null, tmp_path)
    answers = json.loads((folder / "answers.json").read_text())
    answers["spec"]["seed"] = 5
    (folder / "answers.json").write_text(json.dumps(answers))
    with pytest.raises(InputError, match="must have what seed 5 draws"):
        truth_of(folder).field("sub-001", grid_of_images(null, "sub-001"))


@pytest.mark.parametrize("kind", ["gaussian", "interaction"])
def test_fields_drawn_alike_have_the_planted_law(kind: str) -> None:
    """Two places 6 mm apart: tau2 + (1 - tau2) exp(-1/2), of a product the square of it."""
    spec = PhantomSpec(participants=2, biopsies=2, size=24, kind=kind)
    empty = Truth(Path("truth"), make_plan(spec), NOWHERE, {})
    rng, axes = np.random.default_rng(0), (np.array([0.0, 6.0]), np.zeros(1), np.zeros(1))
    drawn = np.array([empty.alike(rng, axes).ravel() for _ in range(3000)])
    expected = (0.3 + 0.7 * np.exp(-0.5)) ** spec.fields
    assert (drawn[:, 0] * drawn[:, 1]).mean() == pytest.approx(expected, abs=0.09 * spec.fields)
    assert drawn.var() == pytest.approx(1, abs=0.09 * spec.fields)


@pytest.mark.parametrize(
    ("label", "follows"),
    [("CD3D", True), ("CD8A", True), ("CD3E+GFAP", True), ("GFAP", False), ("Ki67", False), ("", False)],
)
def test_a_label_follows_the_field_where_a_gene_of_it_does(label: str, follows: bool) -> None:
    assert Truth.is_followed_by(label) is follows


def test_labels_none_of_which_follows_the_field_are_refused_in_a_line(truth: Truth) -> None:
    truth.check_labels(("GFAP", "CD8A"))
    with pytest.raises(
        InputError, match="made of CD3D, CD3E, CD8A, but the model's are GFAP, Ki67"
    ) as caught:
        truth.check_labels(("GFAP", "Ki67"))
    assert len(caught.value.problems) == 1
