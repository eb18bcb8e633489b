"""What `radsearch check` promises: each fault of a cohort is named, and a sound cohort has none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_prep.check.findings import Finding
from data_prep.check.reading import inspect
from data_prep.check.running import run_checks
from data_prep.phantom import KINDS, PhantomSpec, write_phantom
from tests.contracts.check_faults import FAULTS, Fault, sound_cohort


def findings(folder: Path) -> list[Finding]:
    return run_checks(inspect(folder, None))


def serious(found: list[Finding]) -> set[str]:
    return {finding.code for finding in found if finding.severity != "note"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_cohort(tmp_path_factory.mktemp("sound") / "cohort")


def test_the_cohort_is_sound_before_anything_is_planted(sound: Path) -> None:
    assert serious(findings(sound)) == set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_named_and_nothing_else(sound: Path, tmp_path: Path, fault: Fault) -> None:
    shutil.copytree(sound, tmp_path / "cohort")
    fault.plant(tmp_path / "cohort")
    found = findings(tmp_path / "cohort")
    expected = set() if fault.is_note else {fault.code}
    assert serious(found) == expected, [finding.line for finding in found]
    named = [finding for finding in found if finding.code == fault.code]
    assert any(fault.says in finding.line for finding in named), [finding.line for finding in named]
    assert all(finding.where and finding.what for finding in named)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_phantom_of_each_kind_has_none(kind: str, tmp_path: Path) -> None:
    write_phantom(
        tmp_path / "cohort", PhantomSpec(5, 14, kind=kind, size=32, missing=0.2, repeats=2, seed=11)
    )
    found = findings(tmp_path / "cohort")
    assert serious(found) == set(), [finding.line for finding in found]


def test_a_phantom_that_is_badly_registered_has_none(tmp_path: Path) -> None:
    spec = PhantomSpec(3, 6, size=32, missing=0.0, registration_error=2.0, seed=7)
    write_phantom(tmp_path / "cohort", spec)
    found = findings(tmp_path / "cohort")
    assert serious(found) == set(), [finding.line for finding in found]


def test_there_are_at_least_thirty_faults_and_each_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
