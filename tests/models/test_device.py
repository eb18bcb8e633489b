import os

import pytest

from models.device import child_environment, thread_counts, visible_gpus

FIRST, SECOND, THIRD = "GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3"


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Puts a program of our own in the place of nvidia-smi."""

    def install(body: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return install


def test_gpus_come_in_the_order_of_nvidia_smi(smi):
    smi(f"echo {FIRST}; echo {SECOND}; echo {THIRD}")
    assert visible_gpus() == [FIRST, SECOND, THIRD]


def test_the_query_asks_for_uuids_alone(smi):
    smi('test "$*" = "--query-gpu=uuid --format=csv,noheader" && echo ' + FIRST)
    assert visible_gpus() == [FIRST]


def test_a_failing_nvidia_smi_means_no_gpu(smi):
    smi("echo NVIDIA-SMI has failed; exit 9")
    assert visible_gpus() == []


def test_no_nvidia_smi_means_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []


@pytest.mark.parametrize(
    ("inherited", "expected"),
    [
        ("2,0", [THIRD, FIRST]),
        (SECOND, [SECOND]),
        ("GPU-cc", [THIRD]),
        ("GPU-aa,0", []),  # ambiguous
        ("1,-1,0", [SECOND]),
        ("0,7,1", [FIRST]),
        ("0,0,1", [FIRST]),
        ("", []),
        ("-1", []),
        ("MIG-5c7a", ["MIG-5c7a"]),
    ],
)
def test_inherited_devices_narrow_the_list_as_cuda_does(smi, monkeypatch, inherited, expected):
    smi(f"echo {FIRST}; echo {SECOND}; echo {THIRD}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert visible_gpus() == expected


def test_a_child_without_a_gpu_sees_none():
    assert child_environment(2, None)["CUDA_VISIBLE_DEVICES"] == "-1"


def test_a_child_sees_its_gpu_alone_and_grows_on_it():
    environment = child_environment(4, FIRST)
    assert environment["CUDA_VISIBLE_DEVICES"] == FIRST
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_a_child_keeps_to_its_threads():
    environment = child_environment(3, None)
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    assert {environment[name] for name in names} == {"3"}


def test_operations_at_the_same_time_may_be_fewer_than_threads():
    environment = child_environment(4, None, inter=2)
    assert (environment["TF_NUM_INTRAOP_THREADS"], environment["TF_NUM_INTEROP_THREADS"]) == ("4", "2")


@pytest.mark.parametrize("slots", [1, 2, 3, 8, 40])
def test_children_of_one_machine_never_compute_with_more_threads_than_cores(slots):
    intra, inter = thread_counts(8, slots)
    assert intra >= 1
    assert inter >= 1
    assert intra * slots <= max(8, slots)


@pytest.mark.parametrize(
    ("cores", "slots", "counts"), [(2, 1, (1, 2)), (2, 2, (1, 1)), (1, 3, (1, 1)), (8, 4, (1, 2))]
)
def test_one_or_two_cores_a_slot_have_the_counts_that_were_fastest(cores, slots, counts):
    assert thread_counts(cores, slots) == counts
