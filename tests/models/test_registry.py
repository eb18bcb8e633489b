import subprocess
import sys

import pytest

from models.errors import ModelError, NotBuildable
from models.registry import ARCHITECTURES, OPTIMIZERS, check, check_optimizer, smallest_side
from models.spec import ModelSpec, OptimizerSpec


def test_an_unknown_architecture_names_the_nearest_and_the_legal_ones():
    with pytest.raises(
        ModelError, match=r"got 'resnet5'\. did you mean 'resnet50'\? Known: densenet201, resnet152"
    ):
        smallest_side("resnet5")


def test_an_unknown_optimizer_names_the_legal_ones():
    with pytest.raises(ModelError, match=r"got 'rmsprop'\. Known: adam, amsgrad, sgd"):
        check_optimizer(OptimizerSpec("rmsprop", 0.1))


def test_a_patch_too_small_is_refused_before_anything_is_built():
    line = (
        r"architecture 'densenet201' needs patches of at least 29 pixels \(patch_radius >= 14\), but got 17"
    )
    with pytest.raises(NotBuildable, match=line):
        check(ModelSpec("densenet201", (17, 17, 9)))


def test_the_shorter_side_of_a_patch_counts():
    with pytest.raises(NotBuildable, match="but got 17"):
        check(ModelSpec("densenet201", (33, 17, 9)))


def test_momentum_that_would_do_nothing_is_refused():
    with pytest.raises(
        ModelError, match=r"optimizer 'adam' takes no momentum, but got 0\.9; only 'sgd' does"
    ):
        check_optimizer(OptimizerSpec("adam", 0.1, momentum=0.9))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_passes_its_own_check(name):
    assert check_optimizer(OptimizerSpec(name, 0.1)).name == name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_head_left_open_is_the_architectures_own(name):
    assert check(ModelSpec(name, (33, 33, 9))).head == ARCHITECTURES[name].head


def test_a_head_that_is_named_stays():
    assert check(ModelSpec("resnet50", (17, 17, 9), head=())).head == ()


def test_names_specs_and_devices_load_no_tensorflow():
    code = (
        "import sys, models.device, models.errors, models.registry, models.spec;"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
