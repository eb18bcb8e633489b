from __future__ import annotations

import subprocess
import sys

import pytest

from data_prep.phantom.spec import KINDS, SEQUENCES, SIGNALS, PhantomSpec
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
