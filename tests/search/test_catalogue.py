from __future__ import annotations

from pathlib import Path

import pytest

from models.registry import ARCHITECTURES, BASELINES, smallest_side
from search.catalogue import TRAITS, Catalogue, Own


def test_every_architecture_has_known_traits_alone() -> None:
    catalogue = Catalogue({"mine": Own("function", "a.b:c")})
    assert set(catalogue.names) == {*ARCHITECTURES, *BASELINES, "mine"}
    assert set().union(*(catalogue.traits(name) for name in catalogue.names)) == set(TRAITS)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("stem", ["paper", "small", "resize"])
def test_the_smallest_radius_is_the_first_whose_patch_is_wide_enough(name: str, stem: str) -> None:
    radius = Catalogue().smallest_radius(name, stem, 32 if stem == "resize" else None)
    if stem != "paper" and not ARCHITECTURES[name].is_deep:
        assert radius is None
        return
    side = smallest_side(name, stem, 32 if stem == "resize" else None)
    assert radius is not None
    assert 2 * radius + 1 >= side
    assert radius == 0 or 2 * (radius - 1) + 1 < side


def test_a_size_below_the_networks_own_suits_no_radius() -> None:
    assert Catalogue().smallest_radius("densenet201", "resize", 28) is None
    assert Catalogue().smallest_radius("densenet201", "resize", 29) == 0


def test_a_users_file_is_known_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    own = Own("function", f"{file}:net")
    assert own.hash is None
    file.write_text("def net(): ...")
    first = own.hash
    file.write_text("def net(): return 1")
    assert first is not None
    assert own.hash != first
    assert Own("function", "package.module:net").file is None
