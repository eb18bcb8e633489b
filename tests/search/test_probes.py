from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from search.probes import trials_to_probe
from search.study_file import Study

OWN = (
    "architectures.mine.function=package.module:net",
    "architectures.mine.smallest_radius=3",
    "space.architecture=['mine', 'small_cnn']",
    "space.mine.width={low=2, high=8}",
    "space.mine.kind=['a', 'b', 'c']",
)


def test_a_study_of_registry_networks_has_nothing_to_probe(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    assert list(trials_to_probe(make_study(tmp_path))) == []


def test_an_own_architecture_is_built_at_both_ends_of_its_parameters(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    first, last = trials_to_probe(make_study(tmp_path, *OWN))
    assert (first["patch_radius"], first["mine.width"], first["mine.kind"]) == (3, 2, "a")
    assert (last["patch_radius"], last["mine.width"], last["mine.kind"]) == (4, 8, "c")


def test_weights_are_loaded_into_each_network_that_may_get_them(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    weights = tmp_path / "w.keras"
    study = make_study(
        tmp_path,
        "space.architecture=['resnet50', 'densenet201', 'small_cnn']",
        "space.weights=['none', 'w.keras']",
        "space.stem=['paper', 'small']",
        "search.enqueue=[]",
    )
    probed = [(t["architecture"], t["weights"], t["stem"]) for t in trials_to_probe(study)]
    assert probed == [("resnet50", str(weights), "paper"), ("densenet201", str(weights), "small")]
