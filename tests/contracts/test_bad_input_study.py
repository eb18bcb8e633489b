"""Study files: wrong types, absurd numbers, files of the user's own that fail, and random edits."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.problems import InputError
from search.study_file import read_study
from tests.contracts.bad_input import RUN, STUDY, Case, both, check_refused, replaced, tree, written

FILE = "study.toml"
SPACE_OF = "space {world}/study.toml"
OWN = '[architectures.mine]\nfunction = "{}"\n'


def with_line(table: str, line: str) -> Callable[[Path], None]:
    """Add a line to a table of the study, in place of an earlier one of the same key."""

    def spoil(world: Path) -> None:
        key = line.partition("=")[0].strip()
        lines = (world / FILE).read_text().splitlines()
        lines = [old for old in lines if not old.startswith(f"{key} =")]
        head = f"[{table}]"
        if f"[{key}]" in lines:  # a table gives way to a value
            start = lines.index(f"[{key}]")
            end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("[")), len(lines))
            del lines[start:end]
        if table and head not in lines:
            lines.append(head)
        lines.insert(lines.index(head) + 1 if table else 0, line)
        (world / FILE).write_bytes("\n".join(lines).encode())

    return spoil


def wrong(table: str, line: str, says: str, command: str = RUN) -> Case:
    key = line.partition("=")[0].strip()
    place = ".".join(filter(None, (table, key)))
    return Case(f"{place} = {line.partition('=')[2].strip()[:30]}", with_line(table, line), says, command)


def own(code: str | None, source: str = "mine.py:build") -> Callable[[Path], None]:
    """Let the study search over an architecture of the user's own."""

    def spoil(world: Path) -> None:
        with_line("space", 'architecture = ["mine"]')(world)
        (world / FILE).open("a").write("\n" + OWN.format(source))
        if code is not None:
            (world / "mine.py").write_text(code)

    return spoil


WRONG_TYPES = [
    wrong("", f"{name} = {value}", rf"study.toml: {name}: ")
    for name in ("label", "input", "validation", "training", "search", "tracking", "architectures", "space")
    for value in ("1", '"text"')
]
ABSURD = [
    wrong(
        "validation", "folds = 1000000000", r"validation.folds: 1000000000 folds need as many participants"
    ),
    wrong("validation", "folds = 1", r"study.toml: validation.folds: "),
    wrong("validation", "folds = -5", r"study.toml: validation.folds: "),
    wrong("validation", "folds = 2.5", r"study.toml: validation.folds: "),
    wrong(
        "validation",
        "repeats = 1000000000",
        r"validation.repeats: 1 to 1000 are possible, but got 1000000000",
    ),
    wrong("validation", "seed = -1", r"study.toml: validation.seed: "),
    wrong("input", "slices = 1000000001", r"slices: .* but got 1000000001"),
    wrong("input", "slices = 2", r"study.toml: input.slices: must be odd"),
    wrong("input", "slices = -1", r"study.toml: input.slices: "),
    wrong("input", "spacing_mm = nan", r"study.toml: input.spacing_mm: "),
    wrong("input", "spacing_mm = 0", r"study.toml: input.spacing_mm: "),
    wrong("input", "spacing_mm = 1e-9", r"spacing_mm: 0.1 to 10 mm are possible"),
    wrong("input", "sequences = []", r"study.toml: input.sequences: "),
    wrong("input", 'sequences = ["T9"]', r"input.sequences: unknown sequence 'T9'"),
    wrong("input", 'sequences = ["T1", "T1"]', r"study.toml: input.sequences: "),
    wrong("input", "registration_sd_mm = inf", r"study.toml: input.registration_sd_mm: "),
    wrong("input", "registration_sd_mm = -1", r"study.toml: input.registration_sd_mm: "),
    wrong("training", "epochs = 0", r"study.toml: training.epochs: "),
    wrong("training", "epochs = 1e3", r"study.toml: training.epochs: "),
    wrong("training", "patience = 0", r"study.toml: training.patience: "),
    wrong("search", "trials = 0", r"study.toml: search.trials: "),
    wrong("search", "trials = true", r"study.toml: search.trials: "),
    wrong("search", "trial_timeout = nan", r"study.toml: search.trial_timeout: "),
    wrong("search", "trial_timeout = -1", r"study.toml: search.trial_timeout: "),
    wrong("search", 'metric = "auc"', r"study.toml: search.metric: unknown name 'auc'"),
    wrong("search", "enqueue = [1, [2, [3]]]", r"study.toml: search.enqueue"),
    wrong("search", "enqueue = [{ a = { b = { c = [1] } } }]", r"study.toml: search.enqueue"),
    wrong(
        "search",
        "enqueue = [{ patch_radius = 100 }]",
        r"study.toml: search.enqueue\[0\].patch_radius: must be one of",
    ),
    wrong("label", "genes = []", r"study.toml: label.genes: "),
    wrong("label", 'genes = [["CD3D"]]', r"study.toml: label.genes"),
    wrong("label", 'genes = ["CD3"]', r"column CD3: the gene is required"),
    wrong("label", 'rule = "above:nan"', r"study.toml: label.rule: "),
    wrong("label", 'rule = "above:1e999"', r"study.toml: label.rule: "),
    wrong("label", 'rule = "above:1e9"', r"label.rule: .* must tell biopsies apart"),
    wrong("space", "patch_radius = 1000000000", r"patch.radius: "),
    wrong("space", "patch_radius = { low = 1, high = 1000000000 }", r"patch.radius: "),
    wrong("space", "patch_radius = { low = 4, high = 2 }", r"space.patch_radius: `low < high` must hold"),
    wrong("space", "patch_radius = []", r"space.patch_radius: at least one value"),
    wrong("space", "patch_radius = 2.5", r"space.patch_radius: a whole number is needed"),
    wrong("space", "patch_radius = nan", r"space.patch_radius: a whole number is needed"),
    wrong("space", f"patch_radius = {2**63}", r"patch_radius: a whole number has at most 64 bits"),
    wrong("space", "patch_radius = 0x" + "f" * 4000, r"patch_radius: a whole number has at most 64 bits"),
    wrong("space", "patch_radius = " + "9" * 5000, r"study.toml: not valid TOML: "),
    wrong("search", "trials = " + "1" * 5000, r"study.toml: not valid TOML: "),
    wrong("space", "learning_rate = { low = 0.1, high = 0.01 }", r"space.learning_rate: "),
    wrong("space", "learning_rate = { low = 0, high = 0.1, log = true }", r"space.learning_rate"),
    wrong("space", "learning_rate = { low = nan, high = inf }", r"space.learning_rate"),
    wrong("space", "learning_rate = { low = 1979-05-27, high = 1 }", r"space.learning_rate"),
    wrong("space", "architecture = []", r"space.architecture: at least one value"),
    wrong(
        "space", 'architecture = ["resnet51"]', r"space.architecture: unknown name 'resnet51'; did you mean"
    ),
    wrong("space", "architecture = [[[]]]", r"space.architecture: a name is needed"),
    wrong("space", "architecture = { when = { architecture = 1 } }", r"space.architecture"),
    wrong("space", "nonsense = 1", r"space.nonsense: unknown parameter"),
    wrong("trainig", "epochs = 1", r"study.toml: trainig: unknown key; did you mean 'training'"),
    wrong("tracking", 'identifiers = "names"', r"study.toml: tracking.identifiers: unknown name"),
]
NAMES = [
    wrong("", f"name = {name}", r"study.toml: name: ")
    for name in (
        '"../up"',
        '"a/b"',
        '".."',
        '""',
        '"."',
        f'"{"n" * 300}"',
        '"a\\u0000b"',
        '"a b"',
        '"\\u001b[2J"',
        "7",
    )
]
TEXTS = {
    "an empty study": b"",
    "a study that is no TOML": b"name: toy",
    "a study in UTF-16": STUDY.encode("utf-16"),
    "a study in Latin-1": STUDY.replace("toy", "t\xf6y").encode("latin-1"),
    "a study of zeros": bytes(1000),
    "a picture for a study": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "a study of a megabyte": b"#" * 2**20,
    "lists without end": b"x = " + b"[" * 100000,
    "tables without end": b"x = " + b"{a=" * 5000 + b"1" + b"}" * 5000,
    "a key without end": b"[" + b"a." * 50000 + b"a]\nb = 1",
    "a key twice": b"name = 'a'\nname = 'b'\n",
}
BUILD = "def build(input_shape):\n    {}\n"
OWN_FILES = {
    "an architecture without a file": (own(None), r"architectures.mine: a file is needed, but there is none"),
    "an architecture without a name": (
        own("", "mine.py"),
        r'"file.py:name" or "package.module:name" is needed',
    ),
    "an architecture in a folder": (
        both(own(None), lambda world: (world / "mine.py").mkdir()),
        r"architectures.mine: a file is needed",
    ),
    "an architecture in a pipe": (
        both(own(None), lambda world: os.mkfifo(world / "mine.py")),
        r"architectures.mine: a file is needed",
    ),
    "an architecture called like ours": (
        both(own("x = 1"), replaced(FILE, "architectures.mine", "architectures.resnet50")),
        r"architectures.resnet50: a name .* not taken",
    ),
    "an architecture that climbs": (
        both(own("x = 1"), replaced(FILE, "architectures.mine", 'architectures."../mine"')),
        r"architectures.../mine: a name of letters",
    ),
}
FAILING = {
    "a syntax error": ("def build(:\n", r"mine.py.*SyntaxError"),
    "a file that raises": ("raise OSError('no\\nsuch\\x1b[2J thing')", r"mine.py.*OSError: no such"),
    "a file that exits": ("import sys\nsys.exit(0)", r"mine.py.*SystemExit"),
    "a function that is none": ("build = 3", r"a function is needed, but got an int"),
    "a function without parameters": ("def build(): pass", r"must take the input shape"),
    "a function that raises": (BUILD.format("raise ValueError('nothing')"), r"ValueError: nothing"),
    "a function that exits": (BUILD.format("raise SystemExit(0)"), r"SystemExit"),
    "a function that returns nothing": (BUILD.format("return None"), r"mine"),
}

CASES = [
    *WRONG_TYPES,
    *ABSURD,
    *NAMES,
    *(Case(name, written(FILE, text), r"study.toml: ", RUN) for name, text in TEXTS.items()),
    *(Case(name, spoil, says, RUN) for name, (spoil, says) in OWN_FILES.items()),
    Case("no study", lambda world: (world / FILE).unlink(), r"study.toml: a study file is needed", RUN),
    wrong("", 'cohort = "a\\u0000b"', r"cohort.toml: |cohort: "),
    wrong("", 'cohort = "~nobodyofthatname/x"', r"cohort.toml: .*No such file"),
    wrong("", f'cohort = "{"c" * 300}"', r"cohort.toml: .*File name too long"),
    wrong("", "cohort = 7", r"study.toml: cohort: must be text"),
    wrong("", 'cohort = "study.toml"', r"study.toml: "),
    Case(
        "a cohort that goes in a circle",
        both(with_line("", 'cohort = "loop"'), lambda world: (world / "loop").symlink_to("loop")),
        r"cohort.toml: .*symbolic links",
        RUN,
    ),
    *(
        Case(f"{case.name}, in its space", case.spoil, case.says, SPACE_OF)
        for case in ABSURD
        if "space." in case.says
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_spoilt_study_is_refused(case: Case, world: Path) -> None:
    check_refused(case, world)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILING)
def test_code_of_the_user_that_fails_is_told_in_a_line(name: str, world: Path) -> None:
    """By the process that builds networks; the patches it needs are kept."""
    code, says = FAILING[name]
    case = Case(name, own(code), says, RUN)
    check_refused(case, world, left=r"home(/cache(/.*)?|/studies(/toy(/logs(/.*)?)?)?)?$")


EDIT = st.tuples(
    st.floats(0, 1),
    st.integers(0, 12),
    st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from(
        ["[", "]", "{", "}", '"', "=", "\n", ".", "nan", "-", "1e999", "true", "[[", "1979-05-27"]
    ),
)


def problems_of(path: Path, overrides: tuple[str, ...] = ()) -> tuple[str, ...]:
    try:
        read_study(path, overrides)
    except InputError as error:
        return error.problems
    return ()


@settings(max_examples=300)
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
def test_random_edits_are_read_or_refused_in_lines(edits: list) -> None:
    text = STUDY
    for place, removed, added in edits:
        start = int(place * len(text))
        text = text[:start] + added + text[start + removed :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.toml"
        path.write_bytes(text.encode())
        before = tree(Path(folder))
        lines = problems_of(path)
        assert tree(Path(folder)) == before
    assert all(line.isprintable() and ":" in line for line in lines)
    assert len(set(lines)) == len(lines)


VALUES = st.recursive(
    st.none().map(lambda _: "1979-05-27")
    | st.booleans().map(lambda value: str(value).lower())
    | st.integers().map(str)
    | st.integers(1, 9000).map(lambda digits: "1" * digits)
    | st.floats().map(str)
    | st.text(st.characters(codec="utf-8", exclude_characters="'", min_codepoint=32), max_size=5).map(
        "'{}'".format
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(
            st.sampled_from(["low", "high", "log", "when", "choices", "x"]), inner, max_size=3
        ).map(lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}")
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(
    [
        *(
            "name",
            "cohort",
            "label",
            "label.genes",
            "label.rule",
            "input.sequences",
            "input.slices",
            "input.spacing_mm",
        ),
        *(
            "validation.folds",
            "training.epochs",
            "search.enqueue",
            "search.trials",
            "tracking",
            "architectures",
        ),
        *(
            "architectures.mine",
            "architectures.mine.function",
            "space",
            "space.architecture",
            "space.patch_radius",
        ),
        *(
            "space.learning_rate",
            "space.optimizer",
            "space.weights",
            "space.head",
            "space.momentum",
            "space.mine",
        ),
    ]
)


@settings(max_examples=300)
@given(overrides=st.lists(st.tuples(KEYS, VALUES).map("=".join), min_size=1, max_size=3))
def test_any_value_of_any_key_is_read_or_refused_in_lines(sound_world: Path, overrides: list[str]) -> None:
    lines = problems_of(sound_world / FILE, tuple(overrides))
    assert all(line.isprintable() and ":" in line for line in lines)
    assert len(set(lines)) == len(lines)
