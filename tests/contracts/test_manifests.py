"""The manifests in docs/ray.md: what they name is there, and what they start is a command of ours.

Their fields were held against the schemas of Kubernetes 1.37 with `kubernetes-validate --strict`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.cluster_parser import LEAVE_SECONDS
from search.parser import build_parser

PAGE = Path(__file__).parents[2] / "docs" / "ray.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
DOCUMENTS = [document for block in BLOCKS for document in yaml.safe_load_all(block)]
GPU = "nvidia.com/gpu"


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """The spec of every pod, and what it is of."""
    for document in DOCUMENTS:
        spec, name = document["spec"], document["metadata"]["name"]
        if document["kind"] == "RayCluster":
            yield f"{name} head", spec["headGroupSpec"]["template"]["spec"]
            yield from ((f"{name} workers", g["template"]["spec"]) for g in spec["workerGroupSpecs"])
        elif "template" in spec:
            yield name, spec["template"]["spec"]


PODS = dict(pods())


def test_there_is_a_manifest_for_each_way() -> None:
    kinds = [(document["apiVersion"], document["kind"]) for document in DOCUMENTS]
    assert kinds == [
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("ray.io/v1", "RayCluster"),
        ("batch/v1", "Job"),
        ("batch/v1", "Job"),
    ]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_mounts_what_it_has_and_the_cohorts_read_only(name: str) -> None:
    pod = PODS[name]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for container in pod["containers"]:
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounts.keys() == volumes.keys()
        if "cohorts" in mounts:
            assert mounts["cohorts"]["readOnly"]
            assert volumes["cohorts"]["persistentVolumeClaim"]["readOnly"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_pinned_unprivileged_and_gets_what_is_secret_from_a_secret(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"]
    for container in pod["containers"]:
        assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", container["image"])
        assert container["envFrom"]
        assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
        values = {entry["name"]: entry["value"] for entry in container["env"]}
        assert not [name for name in values if re.search("STORAGE|PASSWORD|TOKEN", name)]


@pytest.mark.parametrize("name", [name for name, pod in PODS.items() if "command" in pod["containers"][0]])
def test_a_command_is_one_of_ours(name: str) -> None:
    container = PODS[name]["containers"][0]
    program, *arguments = container["command"]
    args = build_parser().parse_args(arguments)
    assert program == "radsearch"
    assert getattr(args, "require_gpu", False) == (GPU in container["resources"]["limits"])


def test_workers_have_the_time_to_leave() -> None:
    job = PODS["cd3d-workers"]
    _, *arguments = job["containers"][0]["command"]
    leave = build_parser().parse_args(arguments).leave_within
    assert job["terminationGracePeriodSeconds"] - leave >= 30
    assert PODS["radsearch workers"]["terminationGracePeriodSeconds"] - LEAVE_SECONDS >= 30
    assert "^ray::radsearch" in str(PODS["radsearch workers"]["containers"][0]["lifecycle"])


def test_the_image_and_the_cluster_have_the_ray_that_is_pinned() -> None:
    pins = (PAGE.parents[1] / "requirements" / "gpu.txt").read_text()
    pinned = re.search(r"^ray==(\S+)$", pins, re.MULTILINE)
    assert pinned is not None
    cluster = next(document for document in DOCUMENTS if document["kind"] == "RayCluster")
    assert cluster["spec"]["rayVersion"] == pinned[1]
    assert f'"ray[default]=={pinned[1]}"' in PAGE.read_text()
