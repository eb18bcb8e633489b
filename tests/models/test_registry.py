import subprocess
import sys

import pytest

from models.errors import ModelError, NotBuildable
from models.registry import ARCHITECTURES, OPTIMIZERS, check, check_optimizer, smallest_side
from models.spec import CustomSpec, ModelSpec, OptimizerSpec, TransferSpec


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


def test_what_cannot_be_built_names_what_can():
    with pytest.raises(NotBuildable, match="behind the stems 'small' and 'resize' it takes any"):
        check(ModelSpec("densenet201", (17, 17, 9)))


@pytest.mark.parametrize(("stem", "resize_to"), [("small", None), ("resize", 29)])
def test_another_stem_takes_any_patch(stem, resize_to):
    assert check(ModelSpec("densenet201", (1, 1, 9), stem=stem, resize_to=resize_to))
    assert smallest_side("densenet201", stem, resize_to) == 1


def test_resizing_to_less_than_the_network_takes_is_refused():
    with pytest.raises(NotBuildable, match="'densenet201' needs resize_to >= 29, but got 28"):
        check(ModelSpec("densenet201", (33, 33, 9), stem="resize", resize_to=28))


def test_stems_and_transfers_are_for_deep_networks_alone():
    with pytest.raises(NotBuildable, match="architecture 'small_cnn' has no stem to choose, but got 'small'"):
        check(ModelSpec("small_cnn", (5, 5, 9), stem="small"))
    with pytest.raises(
        ModelError, match=r"'small_cnn' takes no weights from elsewhere.*densenet201, resnet152"
    ):
        check(ModelSpec("small_cnn", (5, 5, 9), transfer=TransferSpec("imagenet")))


def test_a_custom_architecture_comes_back_as_it_is():
    spec = ModelSpec("mine", (5, 5, 9), custom=CustomSpec("function", "package.module:network"))
    assert check(spec) == spec


@pytest.mark.parametrize("extra", [{"stem": "small"}, {"transfer": TransferSpec("imagenet")}])
def test_a_custom_architecture_has_no_stem_and_no_transfer(extra):
    custom = CustomSpec("function", "package.module:network")
    with pytest.raises(ModelError, match=r"architecture 'mine' .*but got '(small|imagenet)'"):
        check(ModelSpec("mine", (5, 5, 9), custom=custom, **extra))


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


def test_a_hypermodel_has_no_several_outputs():
    custom = CustomSpec("hypermodel", "package.module:Hyper")
    with pytest.raises(
        ModelError, match="need an architecture with K outputs, but a hypermodel has one and 3"
    ):
        check(ModelSpec("mine", (5, 5, 9), custom=custom, outputs=3))
