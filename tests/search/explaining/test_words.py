"""What is said of explanations is true of what was done."""

from __future__ import annotations

from search.explaining.words import CAVEATS, occlusion_words, permutation_words, who_was_asked
from tests.search.deployment.facts_by_hand import make_explanations


def test_who_was_asked_and_how_finely() -> None:
    text = who_was_asked(make_explanations())
    assert "12 biopsies of 6 participants" in text
    assert "the models that learned from all biopsies were not" in text
    assert text.endswith("99 exchanges of each sequence.")
    assert "would take longer than 300 s" in who_was_asked(make_explanations(each=False))


def test_the_least_p_value_is_that_of_the_exchanges() -> None:
    assert "over 99 exchanges" in permutation_words(make_explanations())
    assert "0.01 is the least possible" in permutation_words(make_explanations())
    assert "0.05 is the least possible" in permutation_words(make_explanations(each=False))


def test_the_sign_and_the_limits_are_told() -> None:
    assert "above 0 the part speaks for the label" in occlusion_words()
    assert any("not causation" in line for line in CAVEATS)
    assert any("stand in for each other" in line for line in CAVEATS)
