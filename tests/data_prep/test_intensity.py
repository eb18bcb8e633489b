import pytest

from data_prep.intensity import COHORT_FITTED, METHODS, QUANTITATIVE, methods_of
from data_prep.problems import InputError

NINE = ("FA", "MD", "EPI-C", "FLAIR", "rCBV", "srCBV", "T1", "T1Gd", "T2")


def test_maps_in_units_of_their_own_stay_as_they_are_and_others_are_z_scored():
    found = dict(zip(NINE, methods_of("auto", NINE, None), strict=True))
    assert {name for name, method in found.items() if method == "none"} == {"FA", "MD", "rCBV", "srCBV"}
    assert {method for method in found.values() if method != "none"} == {"zscore"}


@pytest.mark.parametrize("name", ["fa", "Md", "ADC", "RCBV"])
def test_names_of_maps_are_known_in_either_case(name):
    assert methods_of("auto", (name, "T1", f"{name}x"), None) == ("none", "zscore", "zscore")


def test_a_cohort_says_itself_which_sequences_are_maps():
    assert methods_of("auto", NINE, ("T2",)) == ("zscore",) * 8 + ("none",)
    assert methods_of("auto", NINE, ()) == ("zscore",) * 9
    assert methods_of("auto", ("T1",), NINE) == ("none",)


@pytest.mark.parametrize("method", METHODS)
def test_one_method_for_all_is_for_maps_too(method):
    assert methods_of(method, NINE, None) == (method,) * 9


def test_a_table_names_sequences_and_the_rest():
    sequences = ("T1", "T2", "FA", "MD")
    table = {"T1": "nyul", "MD": "auto", "*": "robust"}
    assert methods_of(table, sequences, None) == ("nyul", "robust", "robust", "none")
    assert methods_of({"T1": "white-matter"}, sequences, None) == ("white-matter", "zscore", "none", "none")
    assert methods_of({}, sequences, None) == methods_of("auto", sequences, None)


def test_all_problems_of_a_table_are_told_at_once():
    with pytest.raises(InputError) as caught:
        methods_of({"T3": "zscore", "T1": "z-score", "*": "mean"}, ("T1", "T2"), None)
    first, second, third = caught.value.problems
    assert first == "normalisation: unknown sequence 'T3'; Known: T1, T2."
    assert second.startswith(
        "normalisation: unknown method 'z-score'; did you mean 'zscore'? Known: auto, none"
    )
    assert third.startswith("normalisation: unknown method 'mean'")


def test_every_method_is_fitted_on_the_image_or_on_the_cohort():
    assert set(COHORT_FITTED) < set(METHODS)
    assert len({name.lower() for name in QUANTITATIVE}) == len(QUANTITATIVE)
