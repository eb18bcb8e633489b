import json
import random
import sys
from dataclasses import asdict

import keras
import keras_tuner
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.hypermodel import AskingHyperParameters, compose, discover, hypermodel_network, question_of
from models.spec import CustomSpec

SHAPE = (5, 5, 2)


def first(question):
    return question.domain["choices"][0] if "choices" in question.domain else question.domain["low"]


def last(question):
    return question.domain["choices"][-1] if "choices" in question.domain else question.domain["high"]


def asking(answer=first, given=None):
    """Hyperparameters, and the list of the questions that they put."""
    questions = []

    def ask(question):
        questions.append(question)
        return answer(question)

    return AskingHyperParameters(given or {}, ask), questions


def domain_of(declare):
    hp, questions = asking()
    declare(hp)
    return questions[0].domain


@pytest.mark.parametrize(
    ("declare", "domain"),
    [
        (lambda hp: hp.Boolean("x"), {"choices": [True, False]}),
        (lambda hp: hp.Choice("x", ["a", "b", "a"]), {"choices": ["a", "b"]}),
        (lambda hp: hp.Choice("x", [3, 5], ordered=True), {"choices": [3, 5]}),
        (
            lambda hp: hp.Int("x", 6, 13, step=3),
            {"low": 6, "high": 12, "step": 3, "log": False, "integer": True},
        ),
        (
            lambda hp: hp.Int("x", 1, 64, sampling="log"),
            {"low": 1, "high": 64, "step": None, "log": True, "integer": True},
        ),
        (lambda hp: hp.Int("x", 2, 33, step=2, sampling="log"), {"choices": [2, 4, 8, 16, 32]}),
        (
            lambda hp: hp.Float("x", 0, 0.6, step=0.1),
            {"low": 0.0, "high": 0.6, "step": 0.1, "log": False, "integer": False},
        ),
        (
            lambda hp: hp.Float("x", 1e-5, 1e-1, sampling="log"),
            {"low": 1e-5, "high": 0.1, "step": None, "log": True, "integer": False},
        ),
        (
            lambda hp: hp.Float("x", 0.001, 10, step=10, sampling="log"),
            {"choices": [0.001, 0.01, 0.1, 1.0, 10.0]},
        ),
    ],
)
def test_a_hyperparameter_asks_for_its_domain(declare, domain):
    found = domain_of(declare)
    assert found == domain
    assert [type(value) for value in found.values()] == [type(value) for value in domain.values()]


def test_a_question_is_plain_data():
    hp, questions = asking()
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["a"]):
        hp.Int("units", 1, 3)
    for question in questions:
        assert json.loads(json.dumps(asdict(question)))["name"] == question.name


def test_a_fixed_hyperparameter_is_not_asked_for():
    hp, questions = asking()
    assert hp.Fixed("x", 3) == 3
    assert questions == []


def test_one_asked_for_twice_is_answered_once():
    hp, questions = asking(last)
    assert hp.Int("x", 1, 3) == hp.Int("x", 1, 3) == hp.get("x") == 3
    assert len(questions) == 1


def test_the_number_of_layers_decides_which_widths_are_asked_for():
    hp, questions = asking(last)
    widths = [hp.Int(f"width{layer}", 1, 4) for layer in range(hp.Int("layers", 1, 3))]
    assert widths == [4, 4, 4]
    assert [question.name for question in questions] == ["layers", "width0", "width1", "width2"]


def test_name_scopes_are_part_of_the_name():
    hp, questions = asking()
    with hp.name_scope("cell"):
        hp.Choice("kind", ["a"])
        with hp.conditional_scope("kind", ["a"]):
            hp.Boolean("bias")
    assert [question.name for question in questions] == ["cell/kind", "cell/bias[cell/kind=a]"]


def test_one_name_under_two_conditions_is_two_questions():
    hp, questions = asking(last)
    kind = hp.Choice("kind", ["a", "b", "c"])
    with hp.conditional_scope("kind", ["a", "b"]):
        inactive = hp.Int("units", 1, 4)
    with hp.conditional_scope("kind", "c"):
        active = hp.Int("units", 10, 40)
    assert (kind, inactive, active) == ("c", None, 40)
    assert [question.name for question in questions] == ["kind", "units[kind=c]"]
    assert questions[1].conditions == (("kind", ("c",)),)
    assert [question_of(each).name for each in hp.space] == ["kind", "units[kind=a|b]", "units[kind=c]"]


def test_conditions_within_conditions_are_all_told():
    hp, questions = asking(last)
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["b"]):
        hp.Int("depth", 1, 2)
        with hp.conditional_scope("depth", [2]):
            hp.Boolean("skip")
    assert questions[-1].name == "skip[kind=b][depth=2]"


def test_a_value_given_beforehand_is_not_asked_for():
    hp, questions = asking(given={"x": "b", "units[x=b]": 3})
    assert hp.Choice("x", ["a", "b"]) == "b"
    with hp.conditional_scope("x", ["b"]):
        assert hp.Int("units", 1, 4) == 3
    assert questions == []


def test_the_default_is_that_of_kerastuner_where_it_is_legal():
    hp, questions = asking()
    hp.Choice("a", [1, 2, 3], default=2)
    hp.Float("b", 0.0, 1.0, step=0.25, default=0.3)
    assert [question.default for question in questions] == [2, 0.0]


@pytest.mark.parametrize(
    ("declare", "value", "law"),
    [
        (lambda hp: hp.Choice("x", ["a", "b"]), "c", "'x': one of a, b is needed, but got 'c'"),
        (lambda hp: hp.Int("x", 1, 9, step=2), 4, "'x': a whole number from 1 to 9 in steps of 2 is needed"),
        (
            lambda hp: hp.Int("x", 1, 9),
            1.5,
            "a whole number from 1 to 9 in steps of 1 is needed, but got 1.5",
        ),
        (lambda hp: hp.Float("x", 0, 1), 1.01, "'x': a number from 0.0 to 1.0 is needed, but got 1.01"),
        (lambda hp: hp.Float("x", 0, 1), "no", "needed, but got 'no'"),
        (lambda hp: hp.Float("x", 0, 1), float("nan"), "needed, but got nan"),
        (lambda hp: hp.Int("x", 0, 1), float("inf"), "needed, but got inf"),
        (
            lambda hp: hp.Float("x", 1, 10, sampling="reverse_log"),
            1.0,
            "'x': sampling must be 'linear' or 'log', but got 'reverse_log'",
        ),
    ],
)
def test_a_value_outside_the_domain_is_refused(declare, value, law):
    hp, _ = asking(lambda _: value)
    with pytest.raises(ModelError, match=law):
        declare(hp)


def test_a_whole_number_of_a_study_file_serves_as_a_float():
    hp, _ = asking(given={"x": 1})
    assert repr(hp.Float("x", 0, 2)) == "1.0"


@st.composite
def declarations(draw):
    """The arguments of one hyperparameter."""
    kind = draw(st.sampled_from(["Choice", "Boolean", "Int", "Float"]))
    if kind == "Boolean":
        return kind, {}
    if kind == "Choice":
        each = draw(st.sampled_from([st.integers(), st.text(max_size=3), st.floats(-9, 9)]))
        return kind, {"values": draw(st.lists(each, min_size=1, max_size=4))}
    log = draw(st.booleans())
    number = st.integers(1 if log else -50, 60) if kind == "Int" else st.floats(0.01 if log else -9, 60)
    low, high = sorted((draw(number), draw(number)))
    width = st.integers(2, 7) if kind == "Int" else st.sampled_from([0.1, 0.25, 0.3, 3.0])
    step = draw(st.none() | (width if not log or kind == "Int" else st.sampled_from([2.0, 10.0])))
    sampling = "log" if log else "linear"
    return kind, {"min_value": low, "max_value": high, "step": step, "sampling": sampling}


def drawn(question, luck):
    """A value of the domain, as Optuna would draw it."""
    domain = question.domain
    if "choices" in domain:
        return luck.choice(domain["choices"])
    if domain["step"] is not None:
        steps = round((domain["high"] - domain["low"]) / domain["step"])
        return min(domain["low"] + luck.randint(0, steps) * domain["step"], domain["high"])
    return (
        luck.randint(domain["low"], domain["high"])
        if domain["integer"]
        else luck.uniform(domain["low"], domain["high"])
    )


@settings(deadline=None, max_examples=200)
@given(st.lists(declarations(), min_size=1, max_size=5), st.integers(0, 10**6))
def test_every_answer_of_the_domain_is_what_the_build_sees(declared, seed):
    luck = random.Random(seed)  # noqa: S311  # no secret
    hp, questions = asking(lambda question: drawn(question, luck))
    seen = [getattr(hp, kind)(f"p{place}", **kwargs) for place, (kind, kwargs) in enumerate(declared)]
    assert seen == list(hp.asked.values()) == [hp.get(f"p{place}") for place in range(len(declared))]
    assert [question.name for question in questions] == list(hp.asked)
    for value, each in zip(seen, hp.space, strict=True):
        config = each.get_config() | {"default": value}
        same = type(each).from_config(config)
        assert same.default == value
        if "step" not in config or config["step"] is None:
            assert 0 <= same.value_to_prob(value) <= 1
        if "min_value" in config:
            assert config["min_value"] - 1e-9 <= value <= config["max_value"] + 1e-9
        assert type(value) in (bool, int, float, str)


@settings(deadline=None, max_examples=200)
@given(declarations(), st.integers(0, 10**6))
def test_every_value_that_kerastuner_samples_lies_in_the_domain(declared, seed):
    kind, kwargs = declared
    stock = keras_tuner.HyperParameters()
    getattr(stock, kind)("x", **kwargs)
    value = stock.space[0].random_sample(seed)
    hp, _ = asking(given={"x": value})
    assert getattr(hp, kind)("x", **kwargs) == pytest.approx(value)


# A hypermodel, a class, a factory and build functions, as users write them.
HYPERMODELS = """
import keras
import keras_tuner

class Tiny(keras_tuner.HyperModel):
    def __init__(self, input_shape, classes=None, include_top=True, scale=1):
        super().__init__()
        self.shape, self.classes, self.top, self.scale = input_shape, classes, include_top, scale

    def build(self, hp):
        patch = keras.Input(self.shape)
        kind = hp.Choice("kind", ["cnn", "mlp"], default="mlp")
        x = patch
        with hp.conditional_scope("kind", ["cnn"]):
            if kind == "cnn":
                for layer in range(hp.Int("layers", 1, 2)):
                    x = keras.layers.Conv2D(hp.Int(f"filters{layer}", 2, 8, step=2), 3, padding="same")(x)
                with hp.conditional_scope("layers", [2]):
                    hp.Boolean("skip")
        with hp.conditional_scope("kind", ["mlp"]):
            if kind == "mlp":
                x = keras.layers.Dense(self.scale * hp.Int("units", 4, 6))(keras.layers.Flatten()(x))
        model = keras.Model(patch, x, name=f"top_{self.top}_{self.classes}")
        model.compile("adam", "mse")
        return model

def build(hp):
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(hp.Int("units", 3, 5))])

def build_for(input_shape, hp):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(hp.Int("units", 3, 5), 1)])

def make():
    return Tiny((5, 5, 2))

def make_for(input_shape, scale=2):
    return Tiny(input_shape, scale=scale)

def make_nothing():
    return 3

def build_much(hp, width, depth): ...

def swallow(hp):
    try:
        units = hp.Int("units", 3, 5)
    except Exception:
        units = 3
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(units)])

def broken(hp):
    hp.Int("units", 3, 5)
    return keras.layers.Dense(-1)

tiny = Tiny((5, 5, 2))
"""


@pytest.fixture
def hypermodel(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "hyper.py").write_text(HYPERMODELS)

    def spec(name: str, params=(), arguments=()) -> CustomSpec:
        return CustomSpec("hypermodel", f"{tmp_path}/hyper.py:{name}", tuple(params), tuple(arguments))

    return spec


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Tiny", {"kind": "mlp", "units[kind=mlp]": 6}),
        ("make", {"kind": "mlp", "units[kind=mlp]": 6}),
        ("make_for", {"kind": "mlp", "units[kind=mlp]": 6}),
        ("tiny", {"kind": "mlp", "units[kind=mlp]": 6}),
        ("build", {"units": 5}),
        ("build_for", {"units": 5}),
    ],
)
def test_a_hypermodel_is_asked_once_and_then_built_from_the_answers(hypermodel, name, values):
    spec = hypermodel(name)
    assert compose(spec, SHAPE, last) == values
    network = hypermodel_network(hypermodel(name, values.items()), SHAPE)
    assert isinstance(network, keras.Model)


def test_a_class_gets_the_shape_two_classes_and_no_top_unless_the_study_says_otherwise(hypermodel):
    params = {"kind": "mlp", "units": 4}.items()
    assert hypermodel_network(hypermodel("Tiny", params), SHAPE).name == "top_False_2"
    named = hypermodel("Tiny", params, [("classes", 5), ("include_top", True), ("scale", 3)])
    network = hypermodel_network(named, SHAPE)
    assert (network.name, network.output_shape) == ("top_True_5", (None, 12))


def test_fixed_hyperparameters_are_neither_asked_for_nor_returned(hypermodel):
    assert compose(hypermodel("Tiny", [("kind", "cnn")]), SHAPE, last) == {
        "layers[kind=cnn]": 2,
        "filters0[kind=cnn]": 8,
        "filters1[kind=cnn]": 8,
        "skip[kind=cnn][layers=2]": False,
    }


def test_a_build_that_asks_for_more_than_was_answered_is_refused(hypermodel):
    with pytest.raises(ModelError, match=r"hyperparameter 'units\[kind=mlp\]' has no value in this trial"):
        hypermodel_network(hypermodel("Tiny", [("kind", "mlp")]), SHAPE)


@pytest.mark.parametrize("name", ["build", "swallow"])
def test_what_the_asker_raises_comes_through_the_users_code(hypermodel, name):
    def ask(_):
        raise ConnectionError("the owner is gone")

    with pytest.raises(ConnectionError, match=r"^the owner is gone$"):
        compose(hypermodel(name), SHAPE, ask)


@pytest.mark.parametrize(
    ("name", "arguments", "law"),
    [
        ("keras", (), "a keras_tuner.HyperModel or a function build"),
        ("make_nothing", (), "a keras_tuner.HyperModel must be returned, but got int"),
        ("build_much", (), "takes hp and at most input_shape, but this one needs hp, width, depth"),
        ("tiny", [("scale", 2)], "is a hypermodel already and takes no arguments: name its class"),
        ("Tiny", [("scales", 2)], r"hyper\.py:Tiny: TypeError: .* unexpected keyword argument 'scales'"),
        ("broken", (), r"hyper\.py:broken: ValueError: .* \(hyper\.py:\d+\)$"),
        ("builds", (), r"has no 'builds'; did you mean 'build'\?"),
    ],
)
def test_a_source_that_is_no_hypermodel_is_one_line(hypermodel, name, arguments, law):
    with pytest.raises(ModelError, match=rf"^[^\n]*{law}"):
        compose(hypermodel(name, (), arguments), SHAPE, first)


def test_discovery_finds_what_is_under_every_condition(hypermodel):
    questions = {question.name: question for question in discover(hypermodel("Tiny"), SHAPE)}
    assert list(questions) == [
        "kind",
        "units[kind=mlp]",
        "layers[kind=cnn]",
        "filters0[kind=cnn]",
        "skip[kind=cnn][layers=2]",
        "filters1[kind=cnn]",
    ]
    assert questions["skip[kind=cnn][layers=2]"].conditions == (("kind", ("cnn",)), ("layers", (2,)))


def test_discovery_finds_what_kerastuner_finds(hypermodel, tmp_path):
    from models.user_code import load_object

    stock = load_object(hypermodel("tiny").source)
    tuner = keras_tuner.RandomSearch(stock, "val_loss", max_trials=1, directory=tmp_path)
    theirs = {question_of(each).name for each in tuner.oracle.get_space().space}
    assert {question.name for question in discover(hypermodel("tiny"), SHAPE)} == theirs


def test_discovery_leaves_fixed_ones_out_and_refuses_unknown_ones(hypermodel):
    found = discover(hypermodel("Tiny", [("kind", "mlp")]), SHAPE)
    assert [question.name for question in found if question.hyperparameter == "kind"] == []
    with pytest.raises(ModelError, match=r"has no hyperparameter 'unit' to fix; it has .*units"):
        discover(hypermodel("Tiny", [("unit", 4)]), SHAPE)
