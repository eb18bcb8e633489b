import os
import sys

import pytest

from models.errors import ModelError
from models.user_code import blamed, check_function, load_function, load_object, outputs_argument


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text: str, name: str = "mine.py") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_a_name_is_found_in_an_installed_module():
    assert load_object("os.path:join") is os.path.join


def test_a_name_is_found_in_a_file(write):
    assert load_object(f"{write('answer = 42')}:answer") == 42


def test_a_file_is_loaded_once_until_it_changes(write):
    place = write("thing = object()")
    first = load_object(f"{place}:thing")
    assert load_object(f"{place}:thing") is first
    write("thing = 'other'")
    os.utime(place, ns=(1, 1))
    assert load_object(f"{place}:thing") == "other"


def test_a_users_module_of_the_name_of_ours_does_not_stand_in_for_it(write):
    import models

    ours = models.__file__
    place = write("import models.errors\nthing = models.__file__", "models.py")
    assert load_object(f"{place}:thing") == ours
    assert sys.modules["models"].__file__ == ours


def test_what_lies_beside_a_file_can_be_imported(write):
    write("width = 7", "beside_it.py")
    assert load_object(f"{write('from beside_it import width')}:width") == 7


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("x = (", r"mine\.py: SyntaxError: '\(' was never closed \(mine\.py:1\)$"),
        ("import nothing_of_that_name", r"ModuleNotFoundError: No module named 'nothing.*' \(mine\.py:1\)$"),
        ("\n1 / 0", r"ZeroDivisionError: division by zero \(mine\.py:2\)$"),
        ("raise SystemExit(3)", r"SystemExit: 3 \(mine\.py:1\)$"),
        ("def network(): ...", r"mine\.py has no 'netwrok'; did you mean 'network'\?$"),
        ("def other(): ...", r"mine\.py has no 'netwrok'$"),
    ],
)
def test_a_file_that_does_not_give_the_name_is_one_line(write, text, law):
    with pytest.raises(ModelError, match=rf"^[^\n]*{law}"):
        load_object(f"{write(text)}:netwrok")


def test_a_failed_file_is_tried_again_once_mended(write):
    with pytest.raises(ModelError):
        load_object(f"{write('1 / 0')}:x")
    assert load_object(f"{write('x = 1')}:x") == 1


@pytest.mark.parametrize(
    ("source", "law"),
    [
        ("/nowhere/mine.py:network", r"^/nowhere/mine\.py: there is no such file$"),
        ("no_such_package:network", "^no_such_package: ModuleNotFoundError: No module named"),
        ("mine.py", "is needed, but got 'mine.py'"),
        ("a:b c", "is needed, but got 'a:b c'"),
        ("math:cosi", r"^math has no 'cosi'; did you mean 'cos'\?$"),
    ],
)
def test_a_source_that_leads_nowhere_is_refused(source, law):
    with pytest.raises(ModelError, match=law):
        load_object(source)


def test_what_cannot_be_called_is_no_function(write):
    with pytest.raises(ModelError, match=r"a function is needed, but got an int$"):
        load_function(f"{write('network = 3')}:network")


NETWORK = "def network(input_shape, width, depth=2, *, rate=0.1): ..."


@pytest.mark.parametrize(
    ("text", "params", "problems"),
    [
        (NETWORK, ["width"], []),
        (NETWORK, ["width", "depth", "rate"], []),
        (NETWORK, [], ["network needs 'width', which the study does not give"]),
        (
            NETWORK,
            ["width", "dept"],
            ["network takes width, depth and rate, but the study gives 'dept'; did you mean 'depth'?"],
        ),
        (
            "def network(input_shape): ...",
            ["a", "b"],
            [f"network takes no parameters, but the study gives '{name}'" for name in "ab"],
        ),
        ("def network(shape, **anything): ...", ["a", "b"], []),
        (
            "def network(): ...",
            [],
            ["network must take the input shape as its first parameter, but takes none"],
        ),
        ("network = range", [], []),
        ("class network:\n    def __init__(self, shape, width): ...", ["width"], []),
    ],
)
def test_the_parameters_of_a_function_are_checked_against_the_study(write, text, params, problems):
    assert check_function(f"{write(text)}:network", params) == problems


def test_an_error_is_placed_in_the_users_own_code(write):
    place = write("import json\n\ndef network():\n    return json.loads('{')\n")
    function = load_function(f"{place}:network")
    with (
        pytest.raises(ModelError, match=r"mine\.py:network: JSONDecodeError: [^\n]* \(mine\.py:4\)$"),
        blamed(f"{place}:network"),
    ):
        function()


def test_somebody_elses_message_is_one_short_line():
    with pytest.raises(ModelError) as caught, blamed("a:b"):
        raise ValueError("\x1b[1mlong\x1b[0m\n" + "x" * 1000)
    assert str(caught.value).startswith("a:b: ValueError: long xxx")
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), ModelError("ours")])
def test_what_is_not_the_users_fault_passes(error):
    with pytest.raises(type(error)) as caught, blamed("a:b"):
        raise error
    assert caught.value is error


LABELLED = "def network(input_shape, outputs, width=2): ..."
OPTIONAL = "def network(input_shape, outputs=4): ..."
SINGLE = "def network(input_shape, width=2, **more): ..."


@pytest.mark.parametrize(
    ("text", "outputs", "told"),
    [
        (LABELLED, 1, {"outputs": 1}),
        (LABELLED, 3, {"outputs": 3}),
        (OPTIONAL, 1, {}),
        (OPTIONAL, 3, {"outputs": 3}),
        (SINGLE, 1, {}),
        ("network = range", 1, {}),
    ],
)
def test_a_function_is_told_the_number_of_outputs_where_it_asks(write, text, outputs, told):
    place = f"{write(text)}:network"
    assert outputs_argument(place, [], outputs) == told
    assert check_function(place, [], outputs) == []


@pytest.mark.parametrize(
    ("text", "params", "law"),
    [
        (SINGLE, [], "K outputs: network must take a parameter 'outputs' to return 3 units, but has none"),
        (
            LABELLED,
            ["outputs"],
            "K outputs: 'outputs' is the number of labels, 3, but the study gives it too",
        ),
    ],
)
def test_a_function_of_one_output_is_refused_where_several_are_wanted(write, text, params, law):
    place = f"{write(text)}:network"
    assert check_function(place, params, 3) == [f"multi-label heads need an architecture with {law}"]
    with pytest.raises(ModelError, match=law):
        outputs_argument(place, params, 3)


def test_a_parameter_that_a_study_gives_stays_its_own_with_one_output(write):
    place = f"{write(OPTIONAL)}:network"
    assert outputs_argument(place, ["outputs"], 1) == {}
    assert check_function(place, ["outputs"]) == []
