import pytest

from models.errors import ModelError
from models.spec import BaselineSpec, ModelSpec, OptimizerSpec, TrainingSpec, TransferSpec


@pytest.mark.parametrize("shape", [(17, 17), (17, 17, 0), (0, 5, 1)])
def test_an_input_shape_is_three_positive_numbers(shape):
    with pytest.raises(ModelError, match=r"input_shape: three positive numbers .* but got"):
        ModelSpec("resnet50", shape)


def test_a_head_of_no_width_is_refused():
    with pytest.raises(ModelError, match=r"head: .* but got \(256, 0\)"):
        ModelSpec("resnet50", (17, 17, 9), head=(256, 0))


@pytest.mark.parametrize("rate", [0.0, -1e-3, float("nan"), float("inf")])
def test_a_learning_rate_is_positive_and_finite(rate):
    with pytest.raises(ModelError, match="learning_rate: a positive number"):
        OptimizerSpec("adam", rate)


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_momentum_is_from_zero_to_below_one(momentum):
    with pytest.raises(ModelError, match="momentum: a number from 0 to below 1"):
        OptimizerSpec("sgd", 0.1, momentum)


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"epochs": 0}, "epochs: .* at least 1 .* but got 0"),
        ({"batch_size": 0}, "batch_size: .* at least 1 .* but got 0"),
        ({"seed": -1}, "seed: .* at least 0 .* but got -1"),
        ({"patience": 0}, "patience: .* at least 1 .* but got 0"),
    ],
)
def test_training_counts_have_a_least_value(setting, line):
    with pytest.raises(ModelError, match=line):
        TrainingSpec(**{"epochs": 3, "batch_size": 9, "seed": 0, **setting})


@pytest.mark.parametrize(("outputs", "shape"), [(1, ()), (2, (2,)), (5, (5,))])
def test_a_single_target_has_no_axis_of_its_own(outputs, shape):
    assert ModelSpec("resnet50", (17, 17, 9), outputs=outputs).target_shape == shape


def test_equal_specs_are_one_key():
    assert len({ModelSpec("resnet50", (17, 17, 9)), ModelSpec("resnet50", (17, 17, 9))}) == 1


@pytest.mark.parametrize(
    ("make", "law"),
    [
        (lambda: ModelSpec("resnet50", (5, 5, 3), dropout=1.0), "dropout"),
        (lambda: ModelSpec("resnet50", (5, 5, 3), stem="large"), "one of paper, small, resize"),
        (lambda: ModelSpec("resnet50", (5, 5, 3), stem="resize"), "needs a positive side"),
        (lambda: ModelSpec("resnet50", (5, 5, 3), resize_to=32), "others none"),
        (lambda: ModelSpec("resnet50", (5, 5, 3), outputs=0), "outputs: .* at least 1 .* but got 0"),
        (lambda: ModelSpec("resnet50", (5, 5, 3), task="ranking"), "one of classification, regression"),
        (lambda: BaselineSpec("svm", task="ranking"), "one of classification, regression"),
        (lambda: TransferSpec("imagenet", 6), "from 0 to 5"),
        (lambda: TransferSpec(""), "an empty name"),
        (lambda: OptimizerSpec("sgd", 0.1, nesterov=True), "a momentum above 0"),
        (lambda: OptimizerSpec("adam", 0.1, weight_decay=-1.0), r"lie in \[0, 1\)"),
        (lambda: OptimizerSpec("adam", 0.1, weight_decay=10.0), r"0.1 \* 10.0"),
        (lambda: OptimizerSpec("adam", 0.1, clip_norm=0.0), "clip_norm"),
        (lambda: OptimizerSpec("adam", 0.1, transferred_rate=0.0), "transferred_rate"),
        (lambda: TrainingSpec(1, 1, 0, schedule="step"), "one of constant, cosine, plateau"),
        (lambda: TrainingSpec(1, 1, 0, plateau_factor=1.0), "plateau_factor"),
        (lambda: TrainingSpec(6, 1, 0, stop_after=7), "stop_after: a whole number from 1 to epochs = 6"),
        (lambda: TrainingSpec(6, 1, 0, stop_after=0), "stop_after: a whole number from 1 to epochs = 6"),
        (lambda: TrainingSpec(1, 1, 0, plateau_patience=0), "plateau_patience"),
        (lambda: TrainingSpec(1, 1, 0, label_smoothing=1.0), "label_smoothing"),
        (lambda: BaselineSpec("trees"), "one of constant, logistic"),
        (lambda: BaselineSpec("svm", selection="pca"), "one of none, nca"),
        (lambda: BaselineSpec("svm", regularisation=0.0), "regularisation"),
    ],
)
def test_every_law_of_a_record_is_kept(make, law):
    with pytest.raises(ModelError, match=law):
        make()
