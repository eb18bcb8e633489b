"""Scenes: what they show, that no fit scores one of a participant it learned from, and what they may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import InputError
from search import scenes as module
from search.home import Home
from search.material import Material, prepare
from search.records import TrialConfig
from search.refits.fit import Fit
from search.scenes import SECOND, Scenes, map_scenes
from search.study_file import Study
from tests.search.scanned_again import scan_again

AGAIN = ("sub-000", "sub-003", "sub-004", "sub-007")
CONFIG = TrialConfig({"architecture": "roi_means", "patch_radius": 2}, 1)


@pytest.fixture(scope="module")
def loaded(
    make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Material, Scenes]:
    folder = tmp_path_factory.mktemp("scenes")
    study, home = make_study(folder), Home.at(folder / "home")
    scan_again(folder / "cohort", AGAIN)
    material = prepare(study, home, frozen=False)
    return material, Scenes(material, study.parameters.largest_radius, home.cache)


NAMES = (SECOND, *map_scenes(6.0))


def people(material: Material, rows: tuple[int, ...]) -> set[str]:
    return {material.patches.participant_id[row] for row in rows}


def test_a_fold_is_shown_the_scans_of_those_held_out_alone(loaded: tuple[Material, Scenes]) -> None:
    material, scenes = loaded
    seen: list[str] = []
    for split in material.folds.splits():
        fit = replace(Fit.of(CONFIG, split), scenes=NAMES)
        wanted = people(material, fit.test) & set(AGAIN)
        shown = scenes.held_out(fit)
        assert [scene.name for scene in shown] == (list(NAMES) if wanted else [])
        for scene in shown:
            assert set(scene.patches.participant_id) == wanted
            assert not wanted & people(material, fit.train)
            whole = scenes.whole(scene.name).patches
            assert scene.patches.hash == whole.take(scenes.rows(scene.name, fit)).hash
        seen += sorted(wanted)
    assert sorted(seen) == sorted(AGAIN)


@given(data=st.data())
def test_nobody_learned_from_or_stopped_by_is_scored_however_rows_are_split(
    loaded: tuple[Material, Scenes], data: st.DataObject
) -> None:
    """Also where participants straddle, as in the random split of the first study of this kind."""
    material, scenes = loaded
    n = len(material.patches)
    part = data.draw(st.lists(st.sampled_from(["train", "test", "stop", "none"]), min_size=n, max_size=n))
    rows = {name: tuple(i for i, one in enumerate(part) if one == name) for name in ("train", "test", "stop")}
    fit = Fit(CONFIG, 0, 0, 0, 0, rows["train"], rows["test"], stop=rows["stop"], scenes=NAMES)
    learned = people(material, (*rows["train"], *rows["stop"]))
    for name in NAMES:
        owners = scenes.whole(name).patches.participant_id
        shown = {owners[row] for row in scenes.rows(name, fit)}
        assert shown == (people(material, rows["test"]) - learned) & set(AGAIN)


def test_scenes_are_cut_by_the_studys_request(loaded: tuple[Material, Scenes]) -> None:
    material, scenes = loaded
    assert scenes.second().patches.request == material.patches.request
    for scene in scenes.maps(6.0):
        assert replace(scene.patches.request, radius=material.patches.radius) == material.patches.request
    rows = [material.patches.biopsy_id.index(name) for name in scenes.second().patches.biopsy_id]
    np.testing.assert_array_equal(scenes.second().patches.raw, material.patches.take(rows).raw)


def test_biopsies_that_the_study_left_out_have_no_scene(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study, home = make_study(tmp_path), Home.at(tmp_path / "home")
    scan_again(tmp_path / "cohort", AGAIN)
    table = tmp_path / "cohort" / "expression.tsv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *lines[2:]]) + "\n")  # b00, of sub-000, has none any more
    material = prepare(study, home, frozen=False)
    found = Scenes(material, study.parameters.largest_radius, home.cache).second()
    assert "b00" not in found.patches.biopsy_id
    assert "sub-000" in found.patches.participant_id


def test_a_lattice_fits_into_its_memory(
    loaded: tuple[Material, Scenes], monkeypatch: pytest.MonkeyPatch
) -> None:
    material, scenes = loaded
    radius = scenes._request("map-first:6").radius
    site = (2 * radius + 1) ** 2 * len(material.patches.sequences) * 4
    assert scenes.most == module.MOST_SITES
    monkeypatch.setattr(module, "MOST_BYTES", 10 * site * len(AGAIN))
    assert scenes.most == 10
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    assert scenes.most == 1


@pytest.mark.parametrize(
    ("name", "told"), [("third", "'second' or one of a map is needed"), ("map-first:900", "no site")]
)
def test_a_scene_that_cannot_be_is_refused(name: str, told: str, loaded: tuple[Material, Scenes]) -> None:
    with pytest.raises(InputError, match=told):
        loaded[1].whole(name)


def test_a_cohort_without_second_scans_has_no_scene(make_study: Callable[..., Study], tmp_path: Path) -> None:
    study, home = make_study(tmp_path), Home.at(tmp_path / "home")
    material = prepare(study, home, frozen=False)
    with pytest.raises(InputError, match=r"declare \[repeats\]"):
        Scenes(material, 3, home.cache).second()
    scan_again(tmp_path / "cohort", ())
    material = prepare(study, home, frozen=False)
    with pytest.raises(InputError, match="no file fits"):
        Scenes(material, 3, home.cache).second()
