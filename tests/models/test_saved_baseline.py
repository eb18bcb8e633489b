import io
import json
import sys
import zipfile
from functools import cache

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_limits

from models.errors import ModelError
from models.saved_baseline import TRUSTED, read_baselines, write_baselines
from models.shallow import fit_baseline
from models.shallow_fit import Fit, FittedBaseline
from models.spec import MODELS, SELECTIONS, TASKS, BaselineSpec


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with threadpool_limits(1):
        yield


@cache
def fitted(model="logistic", task="classification", selection="none"):
    """Six columns of which two matter and one is constant, some values missing."""
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 6))
    signal = x[:, 0] + x[:, 1]
    x[random.random(x.shape) < 0.1], x[:, 4] = np.nan, 3.0
    y = 40 + 9 * signal if task == "regression" else (signal > 0).astype(np.int64)
    spec = BaselineSpec(model, forest_trees=12, selection=selection, task=task, regularisation=0.3)
    return fit_baseline(spec, x, y, random.integers(0, 12, 50), seed=3)


def unseen():
    random = np.random.default_rng(1)
    x = random.normal(size=(80, 6)) * 3
    x[random.random(x.shape) < 0.2] = np.nan
    return x


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("task", TASKS)
def test_what_was_written_predicts_the_same_bits(model, selection, task, tmp_path):
    before, path = fitted(model, task, selection), tmp_path / "baseline.skops"
    write_baselines([before], path)
    (after,) = read_baselines(path)
    np.testing.assert_array_equal(after.predict(unseen()), before.predict(unseen()))
    assert (after.selected, after.parameters, after.columns) == (
        before.selected,
        before.parameters,
        before.columns,
    )


def test_several_labels_keep_their_order_and_nothing_else_is_left_behind(tmp_path):
    models = [fitted("svm"), fitted("constant"), fitted("gp")]
    write_baselines(models, tmp_path / "baseline.skops")
    back = read_baselines(tmp_path / "baseline.skops")
    assert [model.predict(unseen()).tolist() for model in back] == [
        model.predict(unseen()).tolist() for model in models
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["baseline.skops"]


def test_a_file_holds_no_function_and_nothing_of_this_process(tmp_path):
    """Not the search for a kernel, and not the state of the global generator of random numbers."""
    write_baselines([fitted("gp", task, "nca") for task in TASKS], tmp_path / "baseline.skops")
    with zipfile.ZipFile(tmp_path / "baseline.skops") as file:
        schema = file.read("schema.json").decode()
    assert "FunctionNode" not in schema
    assert "PartialNode" not in schema
    assert "RandomState" not in schema


def rewritten(path, change):
    """The file with its schema as text changed."""
    source = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    with zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                changed = change(content.decode())
                assert changed != content.decode()
                content = changed.encode()
            target.writestr(name, content)


def test_a_foreign_type_is_named_and_its_module_not_even_imported(tmp_path, monkeypatch):
    (tmp_path / "foreign_to_all.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "baseline.skops"
    write_baselines([fitted()], path)
    rewritten(
        path,
        lambda text: text.replace('"SimpleImputer"', '"Thing"').replace(
            '"sklearn.impute._base"', '"foreign_to_all"'
        ),
    )
    with pytest.raises(ModelError, match=r"it names 'foreign_to_all\.Thing'$"):
        read_baselines(path)
    assert "foreign_to_all" not in sys.modules


@pytest.mark.parametrize("loader", ["FunctionNode", "MethodNode", "PartialNode", "OperatorFuncNode"])
def test_a_way_to_call_something_is_refused(loader, tmp_path):
    path = tmp_path / "baseline.skops"
    write_baselines([fitted()], path)
    rewritten(path, lambda text: text.replace('"ObjectNode"', f'"{loader}"', 1))
    with pytest.raises(ModelError, match=f"as a {loader}"):
        read_baselines(path)


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (KNeighborsClassifier(), r"sklearn\.neighbors\._classification\.KNeighborsClassifier"),
        (FunctionTransformer(np.exp), r"sklearn\.preprocessing\._function_transformer\.FunctionTransformer"),
    ],
)
def test_what_skops_alone_would_trust_is_refused_too(estimator, named, tmp_path):
    columns = np.arange(6)
    pipeline = make_pipeline(estimator)
    write_baselines([FittedBaseline("classification", 1, 6, Fit(columns, pipeline))], tmp_path / "x.skops")
    assert skops.io.get_untrusted_types(file=tmp_path / "x.skops") in ([], ["numpy.dtype"])
    with pytest.raises(ModelError, match=named):
        read_baselines(tmp_path / "x.skops")


@pytest.mark.parametrize("content", [b"", b"no archive", json.dumps({"a": 1}).encode()])
def test_what_is_no_such_file_is_refused_in_a_line(content, tmp_path):
    path = tmp_path / "baseline.skops"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="shallow models as refit writes them are needed") as caught:
        read_baselines(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_gone_is_refused_in_a_line(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        read_baselines(tmp_path / "baseline.skops")


@pytest.mark.parametrize("content", [{"model": 1}, [1, 2], [{"task": "classification"}], "text"])
def test_another_content_of_trusted_types_is_refused(content, tmp_path):
    skops.io.dump(content, tmp_path / "x.skops")
    with pytest.raises(ModelError, match="are needed, but got"):
        read_baselines(tmp_path / "x.skops")


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_refused_or_the_damage_is_of_no_account(tmp_path_factory, place, bit, cut):
    path = tmp_path_factory.mktemp("damaged") / "baseline.skops"
    write_baselines([fitted()], path)
    content = bytearray(path.read_bytes())
    where = int(place * len(content))
    if cut:
        del content[where:]
    else:
        content[where] ^= 1 << bit
    path.write_bytes(content)
    try:
        (model,) = read_baselines(path)
    except ModelError:
        return
    assert not cut
    np.testing.assert_array_equal(model.predict(unseen()), fitted().predict(unseen()))


def test_nothing_that_calls_anything_is_trusted():
    kinds = {name.rpartition(".")[2] for name in TRUSTED}
    assert not kinds & {"FunctionTransformer", "partial", "function", "ufunc", "builtin_function_or_method"}
    assert {name.split(".")[0] for name in TRUSTED} == {"builtins", "models", "numpy", "sklearn"}
