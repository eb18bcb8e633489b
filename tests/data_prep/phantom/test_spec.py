from __future__ import annotations

import subprocess
import sys

import pytest

from data_prep.phantom.spec import SEQUENCES, SIGNALS, PhantomSpec
from data_prep.problems import InputError


def test_the_default_is_the_cohort_of_the_report() -> None:
    spec = PhantomSpec()
    assert (spec.participants, spec.biopsies, len(SEQUENCES)) == (45, 150, 9)
    assert (spec.size, spec.spacing, spec.room) == (64, 8.0, 8)


@pytest.mark.parametrize("signal", SIGNALS)
def test_squared_weights_sum_to_the_strength_of_the_signal(signal: str) -> None:
    weights = PhantomSpec(signal=signal).weights
    assert sum(weight**2 for weight in weights) == pytest.approx(SIGNALS[signal])
    assert weights[5:] == (0, 0, 0, 0)


def test_all_problems_come_in_one_report() -> None:
    with pytest.raises(InputError) as caught:
        PhantomSpec(participants=1, biopsies=9, signal="strong", size=8, missing=1.0, repeats=2, seed=-1)
    named = [problem.split(":")[1].strip() for problem in caught.value.problems]
    assert named == ["signal", "participants", "biopsies", "size", "missing", "repeats", "seed"]


@pytest.mark.parametrize("kind", ["texture", "interaction"])
def test_a_kind_that_cannot_be_written_is_refused_with_the_legal_ones(kind: str) -> None:
    with pytest.raises(InputError, match=rf"kind: unknown name '{kind}'; .*Known: gaussian"):
        PhantomSpec(kind=kind)


@pytest.mark.parametrize("biopsies", [4, 41])
def test_biopsies_lie_between_one_and_eight_each(biopsies: int) -> None:
    with pytest.raises(InputError, match=f"must lie between 5 and 40 .* but got {biopsies}"):
        PhantomSpec(participants=5, biopsies=biopsies)


def test_the_spec_loads_without_numerical_libraries() -> None:
    code = "import sys, data_prep.phantom; print({'numpy', 'scipy', 'nibabel'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
