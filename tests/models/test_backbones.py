import keras
import pytest

from models.backbones import densenet201, resnet50, resnet152
from models.build import build_model
from models.heads import output_head
from models.spec import ModelSpec

STOCK = [
    (resnet50, keras.applications.ResNet50, 17),
    pytest.param(resnet152, keras.applications.ResNet152, 5, marks=pytest.mark.slow),
    pytest.param(densenet201, keras.applications.DenseNet201, 29, marks=pytest.mark.slow),
]


def test_resnet50_of_the_report_has_its_exact_size():
    model = build_model(ModelSpec("resnet50", (17, 17, 9), head=(256, 128)))
    trainable = sum(weight.numpy().size for weight in model.trainable_variables)
    assert model.count_params() == 24_164_097
    assert trainable == 24_110_977


@pytest.mark.filterwarnings("ignore:This model usually expects 1 or 3 input channels")
@pytest.mark.parametrize(("ours", "stock", "side"), STOCK)
def test_a_small_patch_changes_no_weight_of_the_stock_network(ours, stock, side):
    patch = keras.Input((side, side, 9))
    small = keras.Model(patch, ours(patch))
    large = stock(weights=None, include_top=False, input_shape=(64, 64, 9))
    assert [weight.shape for weight in small.weights] == [weight.shape for weight in large.weights]


@pytest.mark.parametrize(("network", "width"), [(resnet50, 2048), (densenet201, 1920)])
def test_the_feature_map_has_the_width_of_the_network(network, width):
    assert network(keras.Input((33, 33, 3))).shape[-1] == width


def test_densenet_cannot_be_built_below_the_smallest_side():
    with pytest.raises(ValueError, match="output size would be zero or negative"):
        densenet201(keras.Input((28, 28, 9)))


def test_one_pixel_is_enough_for_a_resnet():
    patch = keras.Input((1, 1, 2))
    model = keras.Model(patch, output_head(resnet50(patch), ()))
    assert model(keras.ops.ones((2, 1, 1, 2)), training=True).shape == (2, 1)
