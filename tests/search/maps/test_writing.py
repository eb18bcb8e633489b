"""The files of a map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from nilearn.image import load_img
from PIL import Image

from search.maps.combined import pheno_regions
from search.maps.drawing import Drawn
from search.maps.scene import Scene
from search.maps.writing import write_page, write_pictures, write_volumes

MakeScene = Callable[..., Scene]


def test_the_volumes_are_named_by_map_and_label(make_scene: MakeScene, tmp_path: Path) -> None:
    names = write_volumes(make_scene(), tmp_path)
    kinds = ("probability", "uncertainty", "region")
    of_labels = [f"sub-001_{label}_{kind}.nii.gz" for label in ("CD3D", "CD8A") for kind in kinds]
    assert sorted(names) == sorted(["sub-001_unlike.nii.gz", "sub-001_pheno_regions.nii.gz", *of_labels])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_one_label_has_no_pheno_regions_and_a_regression_has_values(
    make_scene: MakeScene, make_drawn: Callable[..., Drawn], tmp_path: Path
) -> None:
    drawn = make_drawn(("CD3D",))
    names = write_volumes(make_scene(drawn=make_drawn(("CD3D",), value=3 * drawn.probability)), tmp_path)
    assert "sub-001_CD3D_value.nii.gz" in names
    assert not [name for name in names if "pheno" in name]
    value = nibabel.load(tmp_path / "sub-001_CD3D_value.nii.gz").get_fdata()
    np.testing.assert_array_equal(drawn.grid.to_canonical(value), 3 * drawn.probability[..., 0])


def test_other_programs_find_each_voxel_where_it_is(make_scene: MakeScene, tmp_path: Path) -> None:
    """nibabel, nilearn and SimpleITK agree on affine, order (LPS as the scan is stored) and values."""
    scene = make_scene()
    write_volumes(scene, tmp_path)
    path = tmp_path / "sub-001_CD3D_probability.nii.gz"
    mine, theirs = nibabel.load(path), load_img(str(path))
    for image in (mine, theirs):
        np.testing.assert_allclose(image.affine, scene.grid.affine, atol=1e-5)
        assert image.shape == scene.grid.shape
    assert nibabel.aff2axcodes(mine.affine) == ("L", "P", "S")
    itk = SimpleITK.ReadImage(str(path))
    values = SimpleITK.GetArrayFromImage(itk).transpose(2, 1, 0)
    probability = scene.drawn.probability[..., 0]
    np.testing.assert_array_equal(
        scene.grid.to_canonical(values), np.nan_to_num(probability)
    )  # as ITK reads it
    for voxel in np.argwhere(scene.drawn.region)[::97]:
        world = (scene.grid.canonical_affine @ [*voxel, 1])[:3] * [-1, -1, 1]  # ITK's world is LPS
        index = itk.TransformPhysicalPointToIndex(world.tolist())
        assert itk[index] == probability[tuple(voxel)]


def test_masks_are_whole_numbers_and_what_is_outside_has_no_probability(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    scene = make_scene()
    write_volumes(scene, tmp_path)
    drawn, canonical = scene.drawn, scene.grid.to_canonical
    for name, expected in (
        ("unlike", drawn.unlike),
        ("CD3D_region", drawn.above[..., 0]),
        ("CD8A_region", drawn.above[..., 1]),
        ("pheno_regions", pheno_regions(drawn)),
    ):
        image = nibabel.load(tmp_path / f"sub-001_{name}.nii.gz")
        assert image.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(canonical(np.asarray(image.dataobj)), expected)
    probability = nibabel.load(tmp_path / "sub-001_CD8A_probability.nii.gz")
    assert probability.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.isfinite(canonical(np.asarray(probability.dataobj))), drawn.region)


def test_pictures_are_large_enough_to_read(make_scene: MakeScene, tmp_path: Path) -> None:
    names = write_pictures(make_scene(), tmp_path)
    assert names[0] == "sub-001_CD3D.png"
    assert "sub-001_pheno_regions.png" in names
    assert len(names) == 5
    for name in names:
        width, height = Image.open(tmp_path / name).size
        assert width >= 1000
        assert height >= 400


def test_names_of_participants_lead_nowhere(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(name="../../other")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    write_volumes(scene, inner)
    write_page(scene, inner, [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
