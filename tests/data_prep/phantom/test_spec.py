from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from data_prep.phantom.spec import KINDS, SEQUENCES, SIGNALS, FieldModel, PhantomSpec, parse_voxel
from data_prep.problems import InputError


def test_the_default_is_the_cohort_of_the_report() -> None:
    spec = PhantomSpec()
    assert (spec.participants, spec.biopsies, len(SEQUENCES)) == (45, 150, 9)
    assert (spec.size, spec.spacing, spec.room) == (64, 8.0, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_sequence_for_each_field_and_every_signal(kind: str) -> None:
    for signal in SIGNALS:
        spec = PhantomSpec(kind=kind, signal=signal)
        assert len(set(spec.carriers)) >= spec.fields
        assert set(spec.carriers) <= set(range(len(SEQUENCES)))


def test_all_problems_come_in_one_report() -> None:
    with pytest.raises(InputError) as caught:
        PhantomSpec(participants=1, biopsies=9, signal="strong", size=8, missing=1.0, repeats=2, seed=-1)
    named = [problem.split(":")[1].strip() for problem in caught.value.problems]
    assert named == ["signal", "participants", "biopsies", "size", "missing", "repeats", "seed"]


def test_an_unknown_kind_is_refused_with_the_legal_ones() -> None:
    with pytest.raises(InputError, match=r"kind: unknown name 'wavelet'; .*gaussian, interaction, texture"):
        PhantomSpec(kind="wavelet")


@pytest.mark.parametrize("biopsies", [4, 41])
def test_biopsies_lie_between_one_and_eight_each(biopsies: int) -> None:
    with pytest.raises(InputError, match=f"must lie between 5 and 40 .* but got {biopsies}"):
        PhantomSpec(participants=5, biopsies=biopsies)


def test_the_spec_loads_without_numerical_libraries() -> None:
    code = "import sys, data_prep.phantom; print({'numpy', 'scipy', 'nibabel'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("options", "law"),
    [
        ({"voxel": (0.1, 1.0, 1.0)}, r"voxel: three edges between 0.5 and 8 mm .* but got 0.1x1x1"),
        ({"voxel": (1.0, float("nan"), 1.0)}, r"voxel: three edges"),
        ({"voxel": (0.5, 0.5, 0.5), "size": 256}, r"voxel: a volume must have 256\^3 voxels at most"),
        ({"oblique": 45.0}, r"oblique: must lie between 0 and 20 degrees, but got 45"),
        ({"scanner_shift": -1.0}, r"scanner_shift: must lie between 0 and 5, but got -1"),
        ({"confounding": float("inf")}, r"confounding: must lie between 0 and 3, but got inf"),
        ({"site_error": 9.0}, r"site_error: must lie between 0 and 8 mm at this size, but got 9"),
        ({"registration_error": 5.0}, r"registration_error: must lie between 0 and 4 mm at this size"),
        ({"orientation": "random"}, r"orientation: unknown name 'random'"),
        ({"grids": "two"}, r"grids: unknown name 'two'"),
        ({"missing_by": "sequence"}, r"missing_by: unknown name 'sequence'"),
        ({"kind": "texture", "confounding": 1.0}, r"only normal scores have .* but got kind 'texture'"),
        (
            {"kind": "interaction", "registration_error": 1.0},
            r"closed form of displaced images, but got kind",
        ),
        ({"kind": "texture", "grids": "mixed"}, r"closed form of several grids, but got kind 'texture'"),
        ({"kind": "interaction", "missing_by": "scanner"}, r"missing_by: a product is read where both"),
        ({"grids": "mixed", "voxel": (1.0, 1.0, 1.0)}, r"grids: mixed grids have voxels of their own"),
    ],
)
def test_what_cannot_be_or_has_no_exact_ceiling_is_one_problem(options: dict[str, Any], law: str) -> None:
    with pytest.raises(InputError, match=law) as caught:
        PhantomSpec(**options)
    assert len(caught.value.problems) == 1


def test_points_lie_one_millimetre_apart_and_average_nothing() -> None:
    points, boxes = FieldModel(), FieldModel(voxel=(0.5, 0.5, 5.0))
    assert (points.edges, points.box) == ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    assert boxes.edges == boxes.box == (0.5, 0.5, 5.0)


def test_voxels_are_read_as_they_are_written() -> None:
    assert parse_voxel("0.5x0.5X5") == (0.5, 0.5, 5.0)
    for text in ("1x1", "1", "axbxc", "1x1x1x1", ""):
        with pytest.raises(InputError, match=r"voxel: must be like 0.5x0.5x5, but got"):
            parse_voxel(text)
