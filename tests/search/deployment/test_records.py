"""What a model is shown counts as many places as it has patches."""

from __future__ import annotations

from search.deployment.records import Shown
from tests.search.deployment.conftest import Refitted


def test_as_many_places_are_shown_as_there_are_patches(refitted: Refitted) -> None:
    patches = refitted.material.patches
    assert len(Shown(patches)) == 36
    assert len(Shown(patches.take([4, 0]))) == 2
