"""What other cohorts ask for: keys of cohort.toml and of a study's input and label, and the ways in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.bad_input import Case, check_refused, replaced
from tests.contracts.test_bad_input_commands import typed
from tests.contracts.test_bad_input_study import wrong
from tests.contracts.test_bad_input_tables import TOML

OUT = "{world}/new"
IMPORT = f"import {{world}}/cohort --out {OUT} --biopsies {{world}}/cohort/biopsies.tsv"


PATCHES = "patches {world}/cohort --out {world}/x.npz --radius 2"
PHANTOM = "phantom {world}/out"
KEYS = [
    Case(
        "a map of no sequence",
        replaced(TOML, "name =", "quantitative = ['FA']\nname ="),
        r"cohort.toml: quantitative: unknown sequence 'FA'",
    ),
    Case(
        "maps that are no list",
        replaced(TOML, "name =", "quantitative = 'T1'\nname ="),
        r"cohort.toml: quantitative",
    ),
]
INPUT = [
    wrong("input", 'normalisation = "z-score"', r"input.normalisation: unknown name 'z-score'; did you mean"),
    wrong("input", 'normalisation = { T1 = "peak" }', r"input.normalisation: unknown name 'peak'"),
    wrong("input", 'normalisation = { T9 = "none" }', r"normalisation: unknown sequence 'T9'"),
    wrong("input", "normalisation = 1", r"study.toml: input.normalisation"),
    wrong("input", 'missing = "median"', r"input.missing: unknown name 'median'"),
    wrong("input", 'repeats = "twice"', r"input.repeats: unknown name 'twice'"),
    wrong("input", 'repeats = "augment"', r"input.repeats: 'augment' is for networks"),
    wrong("input", 'resample_to = "T9"', r"input.resample_to: unknown sequence 'T9'"),
    wrong("input", "normalisation = {}", r"input.normalisation: a table needs a sequence at least"),
    wrong("input", "slice_mm = 2.0", r"input: `slice_mm` is the distance of several slices"),
    wrong("input", "slice_mm = nan", r"study.toml: input.slice_mm: "),
]
LABEL = [
    wrong("label", 'rule = "log-tpm:high"', r"label.rule: must be .* but got 'log-tpm:high'"),
    wrong("label", 'rule = "above-quantile:2"', r"label.rule: must be .* a share above 0 and below 1"),
    wrong("label", 'column = "grade"', r"label.column: unknown column 'grade'"),
    wrong("label", 'column = ""', r"study.toml: label.column: must be text that is not empty"),
    wrong("label", 'combine = "multi-label"', r"label.combine: 'multi-label' needs several genes"),
    wrong("label", 'combine = "sum"', r"label.combine: unknown name 'sum'"),
]
COMMANDS = [
    typed("check {world}/nowhere", r"nowhere/cohort.toml: the file must be readable"),
    typed("check", r"error: the following arguments are required: COHORT"),
    typed("check {world}/study.toml", r"study.toml: "),
    typed("retest nothing --home {world}/nowhere", r"STUDY: no study 'nothing'"),
    typed(
        "retest toy --trial -1 --home {world}/nowhere",
        r"argument --trial: a whole number from 0 on is needed, but got -1",
    ),
    typed("import", r"error: the following arguments are required: SOURCE, --out, --biopsies"),
    typed(f"import {{world}}/nowhere --out {OUT} --biopsies x", r"nowhere: a folder is needed"),
    typed(f"{IMPORT} --space cube", r"argument --space: invalid choice: 'cube'"),
    typed(
        f"import {{world}}/cohort --out {OUT} --biopsies {{world}}/none.csv", r"none.csv: the file must be"
    ),
    typed(f"{PATCHES} --slices 3 --slice-distance 0", r"slice_mm: 0.1 to 50 mm are possible, but got 0"),
    typed(f"{PATCHES} --slice-distance 2", r"slice_mm: only several slices have a distance"),
    typed(f"{PATCHES} --resample-to T9", r"--resample-to: unknown sequence 'T9'"),
    typed(f"{PATCHES} --normalisation mean", r"normalisation: unknown method 'mean'"),
    typed(f"{PATCHES} --normalisation nyul", r"--normalisation: 'nyul' is fitted on a training fold"),
    typed(f"{PHANTOM} --voxel 1", r"phantom: voxel: "),
    typed(f"{PHANTOM} --confounding -1", r"phantom: confounding: "),
    typed(f"{PHANTOM} --missing-by luck", r"phantom: missing_by: unknown name 'luck'"),
    typed(f"{PHANTOM} --orientation mirrored", r"phantom: orientation: unknown name 'mirrored'"),
]
CASES = [*KEYS, *INPUT, *LABEL, *COMMANDS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_cohort_or_study_that_cannot_be_meant_is_refused(case: Case, world: Path) -> None:
    check_refused(case, world)
