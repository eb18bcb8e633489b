import pytest

from models.device import child_environment, tensorflow_device, thread_counts, visible_gpus, why_no_gpu
from tests.nvidia import Card, install, replace

FIRST, SECOND, THIRD = "GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3"
SLICES = ("MIG-5c7a", "MIG-5cff")
CUT = Card(SECOND, slices=[(uuid, 0) for uuid in SLICES])


@pytest.fixture
def three(tmp_path, monkeypatch):
    """A machine with three GPUs, and the way to set what a process inherits."""
    install(tmp_path, monkeypatch, Card(FIRST), Card(SECOND), Card(THIRD))
    return monkeypatch


@pytest.mark.usefixtures("three")
def test_gpus_come_in_the_order_of_nvidia_smi():
    assert visible_gpus() == [FIRST, SECOND, THIRD]


def test_a_failing_nvidia_smi_means_no_gpu(tmp_path, monkeypatch):
    replace(tmp_path, monkeypatch, "#!/bin/sh\necho NVIDIA-SMI has failed; exit 9\n")
    assert visible_gpus() == []
    assert why_no_gpu() == "nvidia-smi lists no GPU"


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
        ("NoDevFiles", []),  # of SLURM, for a job without GPUs
        ("MIG-5c7a", ["MIG-5c7a"]),
    ],
)
def test_inherited_devices_narrow_the_list_as_cuda_does(three, inherited, expected):
    three.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert visible_gpus() == expected


def test_devices_that_are_hidden_are_told_apart_from_those_that_are_not_there(three):
    three.setenv("CUDA_VISIBLE_DEVICES", "")
    assert why_no_gpu() == "CUDA_VISIBLE_DEVICES='' names no GPU of this machine"


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        ({"SLURM_JOB_GPUS": "0,2"}, [FIRST, THIRD]),
        ({"SLURM_JOB_GPUS": "1-2"}, [SECOND, THIRD]),
        ({"SLURM_JOB_GPUS": "0,2", "SLURM_STEP_GPUS": "2"}, [THIRD]),
        ({"SLURM_JOB_GPUS": "1", "SLURM_STEP_GPUS": ""}, [SECOND]),
        ({"SLURM_JOB_GPUS": "0,2", "CUDA_VISIBLE_DEVICES": "1"}, [SECOND]),
        ({"SLURM_JOB_GPUS": "4,5,6"}, [FIRST, SECOND, THIRD]),  # confined to them: they are counted anew
        ({"SLURM_JOB_GPUS": "all"}, [FIRST, SECOND, THIRD]),
    ],
)
def test_what_slurm_granted_counts_where_it_has_not_set_the_devices(three, granted, expected):
    for name, value in granted.items():
        three.setenv(name, value)
    assert visible_gpus() == expected


@pytest.mark.parametrize(
    ("inherited", "expected"),
    [
        (None, [FIRST, *SLICES]),
        ("1", [SLICES[0]]),
        (SECOND, [SLICES[0]]),
        ("MIG-5cff,MIG-5c7a", [SLICES[1], SLICES[0]]),
        ("MIG-5cf", [SLICES[1]]),
    ],
)
def test_a_gpu_in_mig_mode_is_its_slices(tmp_path, monkeypatch, inherited, expected):
    install(tmp_path, monkeypatch, Card(FIRST), CUT)
    if inherited is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert visible_gpus() == expected


@pytest.mark.usefixtures("three")
def test_tensorflow_tells_what_it_really_computes_on():
    assert tensorflow_device(FIRST).startswith("CPU x")  # no machine of ours has that GPU


def test_a_tensorflow_that_does_not_load_computes_on_nothing(three):
    three.setattr("models.device.ASK_DEVICE", "raise ImportError('libcuda')")
    assert tensorflow_device(FIRST) == "nothing"


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
