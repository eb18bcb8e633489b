"""Patterns guessed from names."""

from __future__ import annotations

import pytest

from data_prep.importing.guessing import guess_patterns
from data_prep.importing.patterns import compile_pattern

P, S = ("P001", "P002", "P003"), ("T1", "T1Gd", "FLAIR")
DATES = {"P001": "20190102", "P002": "20190304", "P003": "20200506"}
CASES = {
    "{participant_id}/{session}/{sequence}_reg": "{p}/{d}/{s}_reg",
    "{participant_id}/{sequence}": "{p}/{s}",
    "{participant_id}/{participant_id}_{sequence}": "{p}/{p}_{s}",
    "{participant_id}/{session}/{participant_id}_{session}_{sequence}": "{p}/{d}/{p}_{d}_{s}",
    "{participant_id}_{sequence}": "{p}_{s}",
    "{participant_id}_{session}_{sequence}": "{p}_{d}_{s}",
    "{participant_id}-{sequence}": "{p}-{s}",
    "{sequence}/{participant_id}": "{s}/{p}",
    "data/{participant_id}/anat/{sequence}": "data/{p}/anat/{s}",
    "{session}/{participant_id}/{sequence}": "{d}/{p}/{s}",
    "{participant_id}_nifti/{participant_id}_{sequence}": "{p}_nifti/{p}_{s}",
    "{participant_id}/{session}/nifti/co_{sequence}_brain2": "{p}/{d}/nifti/co_{s}_brain2",
}


@pytest.mark.parametrize(("pattern", "names"), CASES.items())
def test_the_pattern_by_which_files_were_named_is_found(pattern: str, names: str) -> None:
    meant = {names.format(p=p, d=DATES[p], s=s) + ".nii.gz": (p, s) for p in P for s in S}
    assert guess_patterns(sorted(meant)) == (pattern,)
    compiled = compile_pattern(pattern)
    for label, (participant, sequence) in meant.items():
        parts = compiled.match(label)
        assert parts is not None
        assert (parts["participant_id"], parts["sequence"]) == (participant, sequence)


@pytest.mark.parametrize(
    ("label", "pattern", "participant"),
    [
        ("{p}_nifti/{p}_{s}.nii.gz", "{participant_id}_nifti/{participant_id}_{sequence}", "UCSF-PDGM-0004"),
        ("20190301/{p}/{s}.nii", "{session}/{participant_id}/{sequence}", "P1"),
        ("{p}/2019-03-01/{s}.nii", "{participant_id}/{session}/{sequence}", "P1"),
        ("{p}/20190301_MR/{s}.nii", "{participant_id}/{session}/{sequence}", "P1"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_folders_of_days_and_ends_of_folders_are_no_participants(
    label: str, pattern: str, participant: str, count: int
) -> None:
    people = [participant[:-1] + str(number + 4) for number in range(count)]
    labels = [label.format(p=p, s=s) for p in people for s in S]
    assert guess_patterns(labels) == (pattern,)


def test_a_year_that_all_share_is_a_session_of_theirs() -> None:
    labels = [f"{p}/2019/{s}.nii" for p in P for s in S]
    assert guess_patterns(labels) == ("{participant_id}/{session}/{sequence}",)


def test_words_of_sequences_that_all_share_stay_in_their_names() -> None:
    labels = [f"{p}/T1_{s}.nii" for p in P for s in ("pre", "post")]
    assert guess_patterns(labels) == ("{participant_id}/{sequence}",)


def test_each_depth_has_its_own_pattern() -> None:
    labels = [f"{p}/{name}.nii.gz" for p in P for name in ("brain", "tumor", "2019/T1", "2020/T2")]
    patterns = guess_patterns(labels)
    assert patterns == ("{participant_id}/{sequence}", "{participant_id}/{session}/{sequence}")
