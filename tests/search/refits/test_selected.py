from __future__ import annotations

import pytest

from models.registry import BASELINES
from search.refits.selected import selected_text, teller


def of(*names: str) -> list[dict[str, str]]:
    return [{"architecture": name} for name in names]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["roi_means", "small_cnn", "mine"], "the images tell"),
        (["roi_means", "constant"], "the images tell"),
        (["texture_gp", "location", "location"], "the images, or location beside them, tell"),
        (["location", "missingness"], "something beside the images (location, missingness) tells"),
        (["constant"], "something beside the images (constant) tells"),
    ],
)
def test_a_claim_is_about_the_images_only_where_a_model_read_them(names: list[str], said: str) -> None:
    assert teller(of(*names)) == said


def test_every_baseline_is_known_to_read_patches_or_not() -> None:
    reading = {name for name in BASELINES if teller(of(name)) == "the images tell"}
    assert BASELINES.keys() - reading == {"constant", "location", "missingness"}


def test_equal_architectures_are_counted() -> None:
    assert selected_text(of("roi_means", "location", "roi_means")) == "2 x roi_means, location"
