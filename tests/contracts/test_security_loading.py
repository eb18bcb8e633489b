"""No file from elsewhere is executed: what the sources may call, and files that would give it away."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import marshal
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest

from data_prep.cache import cache_key, load_patches
from data_prep.cohort import read_cohort
from data_prep.features.table import FeatureTable, read_features, write_features
from data_prep.patches import PatchRequest
from data_prep.problems import InputError
from models.errors import ModelError
from models.weight_files import read_weights
from search import cli
from search.home import Home
from search.placement import Placement
from search.study_file import read_study
from search.supervisor import Listener, RunOptions, run_study

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for package in ("data_prep", "mlflow_server", "models", "search")
    for path in (ROOT / package).rglob("*.py")
)

# Loading what one of these wrote executes it, or may.
MODULES = {
    *("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"),
    *("torch", "yaml", "ruamel", "pandas", "runpy", "code"),
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
# NumPy unpickles arrays of objects unless it is told not to.
NUMPY = {"load", "read_array", "open_memmap", "fromregex", "load_npz"}
# Keras and MLflow build what a file describes, layers that hold code among them.
BUILDERS = {
    *("load_model", "load_weights", "model_from_json", "model_from_config", "deserialize"),
    *("deserialize_keras_object", "enable_unsafe_deserialization", "from_config", "read_pickle"),
    *("exec_module", "load_module", "import_module", "find_object"),
}

# Where one of them is called all the same, and why nothing of a file is executed by it.
EXCEPTIONS = {
    ("models/ending.py", "from_config"): "of a layer in memory, to copy it",
    ("models/flattening.py", "from_config"): "of a layer in memory, to copy it",
    ("models/seeding.py", "from_config"): "of an initialiser in memory, to give it another seed",
    ("models/stems.py", "from_config"): "of a layer in memory, to replace it",
    ("models/build.py", "import_module"): "of a name in a table of ours",
    ("models/user_code.py", "exec_module"): "the user's own network, which the study file names",
    ("models/user_code.py", "import_module"): "the user's own network, which the study file names",
    ("mlflow_server/tables.py", "from_config"): "of Alembic, MLflow's own migrations",
    ("search/launchers/opening.py", "import_module"): "of a launcher that the parser accepted",
    ("search/cli.py", "import_module"): "of the command that the parser accepted",
}


def called(node: ast.Call) -> str:
    """The last name of what is called, so that no import under another name hides it."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def is_given(node: ast.Call, keyword: str, value: bool) -> bool:
    return any(given.arg == keyword and is_literal(given.value, value) for given in node.keywords)


def findings(text: str) -> Iterator[tuple[int, str]]:
    """Lines that could execute a file, and what they call."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in [*origin, *(alias.name for alias in node.names)]:
                if name.partition(".")[0] in MODULES:
                    yield node.lineno, name
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not is_literal(node.value, False):
            yield node.value.lineno, "allow_pickle"
        if isinstance(node, ast.Call) and is_risky(node):
            yield node.lineno, called(node)


def is_literal(node: ast.expr, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def is_risky(node: ast.Call) -> bool:
    name = called(node)
    if name in BUILTINS and isinstance(node.func, ast.Name):
        return True
    if name in NUMPY and is_module(node.func, ("np", "numpy", "format", "lib", "sparse")):
        return not is_given(node, "allow_pickle", False)
    return name in BUILDERS and not is_given(node, "safe_mode", True)


def is_module(function: ast.expr, names: tuple[str, ...]) -> bool:
    owner = function.value if isinstance(function, ast.Attribute) else None
    return isinstance(owner, ast.Name | ast.Attribute) and (getattr(owner, "id", None) or owner.attr) in names  # type: ignore[union-attr]


def test_no_source_calls_what_could_execute_a_file() -> None:
    found = {
        (str(path.relative_to(ROOT)), name, line)
        for path in SOURCES
        for line, name in findings(path.read_text())
    }
    assert not {entry for entry in found if entry[:2] not in EXCEPTIONS}
    assert {entry[:2] for entry in found} == set(EXCEPTIONS), "an exception that nobody needs any more"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads as read",
        "import numpy as np, joblib",
        "from torch.serialization import load",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trusted)",
        "np.load(path, **options)",
        "np.lib.format.open_memmap(path)",
        "format.read_array(stream)",
        "np.save(path, array, allow_pickle=True)",
        "eval(text)",
        "exec(text)",
        "compile(text, '', 'exec')",
        "__import__(name)",
        "keras.models.load_model(path)",
        "keras.saving.load_model(path, safe_mode=False)",
        "load_model(path, safe_mode=mode)",
        "model.load_weights(path)",
        "keras.Model.from_config(config)",
        "keras.config.enable_unsafe_deserialization()",
        "mlflow.pyfunc.load_model(uri)",
        "spec.loader.exec_module(module)",
    ],
)
def test_the_scan_finds(line: str) -> None:
    assert list(findings(f"def f():\n    {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        "np.load(path, allow_pickle=False)",
        "np.save(path, array, allow_pickle=False)",
        "json.load(stream)",
        "tomllib.load(stream)",
        "re.compile(pattern)",
        "model.compile(optimizer)",
        "model.eval()",
        "keras.saving.load_model(path, safe_mode=True)",
    ],
)
def test_the_scan_passes(line: str) -> None:
    assert not list(findings(line))


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """What a bomb writes; it must not be there when the test ends."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def bomb(canary: Path) -> bytes:
    """A pickle that writes the canary, shown to work."""
    content = pickle.dumps(Bomb(canary))
    pickle.loads(content)  # noqa: S301 - it is ours
    canary.unlink()
    return content


@pytest.fixture
def array_bomb(canary: Path) -> bytes:
    """An .npy that writes the canary where pickles are allowed, shown to work."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    np.load(io.BytesIO(buffer.getvalue()), allow_pickle=True)
    canary.unlink()
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["bomb", "array_bomb"])
def test_a_bomb_in_the_cache_of_patches_is_replaced_by_the_patches(
    kind: str, cohort_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cohort, wanted = read_cohort(cohort_folder), PatchRequest(("T1", "T2"), 2)
    first = load_patches(cohort, wanted, tmp_path / "cache").hash
    entry = tmp_path / "cache" / cache_key(cohort, wanted)
    arrays = sorted(entry.glob("*.npy"))
    assert arrays
    for path in arrays:
        path.write_bytes(request.getfixturevalue(kind))
    assert load_patches(cohort, wanted, tmp_path / "cache").hash == first
    assert all(np.load(path, allow_pickle=False).dtype != object for path in arrays)


@pytest.mark.parametrize("kind", ["bomb", "array_bomb"])
def test_a_bomb_in_the_cache_of_features_is_no_table_even_with_a_true_hash(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "features.npy"
    write_features(FeatureTable(np.zeros((3, 1)), ("mean",)), path)
    content = request.getfixturevalue(kind)
    path.write_bytes(content)
    digest = hashlib.sha256(json.dumps(["mean"]).encode() + content).hexdigest()
    path.with_suffix(".json").write_text(json.dumps({"names": ["mean"], "hash": digest}))
    assert read_features(path) is None


def keras_file(canary: Path) -> bytes:
    """A .keras file whose one layer holds code, as Keras writes it, beside weights that hold a layer."""
    code = compile(f"open({str(canary)!r}, 'w')", "lambda", "eval")
    function = {"class_name": "__lambda__", "config": {"code": marshal.dumps(code).hex()}}
    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "l", "function": function}}
    config = {"class_name": "Sequential", "module": "keras", "config": {"name": "s", "layers": [layer]}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("model.weights.h5", weights_file())
    return buffer.getvalue()


def weights_file(**attributes: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        variables = file.create_group("layers/dense/vars")
        variables.attrs["name"] = "dense"
        variables["0"] = np.ones((2, 3), np.float32)
        file.attrs.update(attributes)
    return buffer.getvalue()


def test_a_saved_network_gives_its_weights_and_its_code_is_not_even_loaded(
    tmp_path: Path, canary: Path
) -> None:
    (tmp_path / "network.keras").write_bytes(keras_file(canary))
    script = (
        "import sys; from pathlib import Path; from models.weight_files import read_weights;"
        "weights = read_weights(Path(sys.argv[1]));"
        "print({name: [array.tolist() for array in arrays] for name, arrays in weights.items()},"
        " sorted({'keras', 'tensorflow', 'dill', 'cloudpickle'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "network.keras"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "{'dense': [[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]]} []\n"


def test_weights_of_the_old_format_with_code_in_them_give_their_arrays_alone(
    tmp_path: Path, canary: Path
) -> None:
    code = marshal.dumps(compile(f"open({str(canary)!r}, 'w')", "lambda", "eval")).hex()
    config = json.dumps({"class_name": "Lambda", "config": {"function": [code, None, None]}})
    (tmp_path / "network.h5").write_bytes(weights_file(model_config=config, keras_version="2.4.0"))
    weights = read_weights(tmp_path / "network.h5")
    assert {name: [array.shape for array in arrays] for name, arrays in weights.items()} == {
        "dense": [(2, 3)]
    }


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5", ".npz", ".npy", ".pkl", ".pt", ".bin"])
@pytest.mark.parametrize("kind", ["bomb", "array_bomb"])
def test_weights_that_are_a_bomb_are_refused(
    suffix: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(request.getfixturevalue(kind))
    with pytest.raises(ModelError, match="weights: "):
        read_weights(path)


@pytest.fixture(scope="module")
def lived_in(sound_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, and the home in which it ran."""
    folder = tmp_path_factory.mktemp("lived_in") / "world"
    shutil.copytree(sound_world, folder)
    study = read_study(folder / "study.toml", ("search.trials=1", 'space.architecture=["roi_means"]'))
    options = RunOptions(source="", placements=(Placement(1, None),))
    run_study(study, Home.at(folder / "home"), options, Listener())
    return folder


def test_bombs_in_place_of_every_file_of_a_home_stay_unexploded(
    lived_in: Path, tmp_path: Path, bomb: bytes, array_bomb: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [path.relative_to(lived_in) for path in (lived_in / "home").rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files}
    assert {".journal", ".json", ".tsv", ".npy", ".db"} <= kinds
    for path in files:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(lived_in, tmp_path / "copy")
        (tmp_path / "copy" / path).write_bytes(array_bomb if path.suffix == ".npy" else bomb)
        home = str(tmp_path / "copy" / "home")
        for command in (["list"], ["show", "toy", "--json"]):
            with contextlib.suppress(SystemExit):
                cli.main([*command, "--home", home])
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "kept", [("study.json", "folds.tsv", "bank.tsv"), ()], ids=["what it left", "its definition too"]
)
def test_a_study_continued_over_bombs_goes_on_or_says_why_not(
    kept: tuple[str, ...], lived_in: Path, tmp_path: Path, bomb: bytes, array_bomb: bytes
) -> None:
    shutil.copytree(lived_in, tmp_path / "copy")
    home = Home.at(tmp_path / "copy" / "home")
    databases = {home.journal, home.root / "mlflow.db"}
    for path in home.root.rglob("*"):
        if path.is_file() and path not in databases and path.name not in kept:
            path.write_bytes(array_bomb if path.suffix == ".npy" else bomb)
    shutil.rmtree(home.logs, ignore_errors=True)
    study = read_study(
        tmp_path / "copy" / "study.toml", ("search.trials=2", 'space.architecture=["roi_means"]')
    )
    options = RunOptions(source="", placements=(Placement(1, None),))
    if kept:
        trials = run_study(study, home, options, Listener()).study.trials
        assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE"]
    else:
        with pytest.raises(InputError, match="folds"):
            run_study(study, home, options, Listener())
