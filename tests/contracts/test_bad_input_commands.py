"""Command lines that mean nothing, and places that cannot be written."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.problems import InputError
from search.study_file import read_study
from tests.contracts.bad_input import (
    PATCHES,
    RUN,
    Answer,
    Case,
    answer,
    check_lines,
    check_refused,
    nothing,
    spawned,
    tree,
)

OUT = "patches {world}/cohort --home {world}/home --radius 2 --out "
PHANTOM = "phantom {world}/out "


def typed(command: str, says: str, spoil: Callable[[Path], object] = nothing) -> Case:
    return Case(command.replace("{world}", "")[:70], spoil, says, command)


def a_file(name: str) -> Callable[[Path], object]:
    return lambda world: (world / name).write_text("not ours")


def a_folder(name: str) -> Callable[[Path], object]:
    return lambda world: (world / name).mkdir()


def full_folder(world: Path) -> None:
    (world / "out").mkdir()
    (world / "out/mine.txt").write_text("mine")


SMALL = "phantom {world}/out --participants 2 --biopsies 2 --size 24"
PASSWORD = "s3cr3t-pass"  # noqa: S105
CASES = [
    typed("", r"error: the following arguments are required: COMMAND"),
    typed("serach", r"error: argument COMMAND: invalid choice: 'serach'"),
    typed("run", r"error: the following arguments are required: STUDY.toml"),
    typed("run {world}/study.toml --nonsense", r"error: unrecognized arguments: --nonsense"),
    typed("run {world}/nothing.toml --home {world}/home", r"nothing.toml: a study file is needed"),
    typed("run {world} --home {world}/home", r"world: a study file is needed"),
    typed(f"{RUN} --trials 0", r"search.trials: must be greater than or equal to 1, but got 0"),
    typed(f"{RUN} --trials -1", r"search.trials: must be greater than or equal to 1, but got -1"),
    typed(f"{RUN} --trials x", r"error: argument --trials: invalid int value: 'x'"),
    typed(f"{RUN} --trials 1e3", r"error: argument --trials: invalid int value"),
    typed(f"{RUN} --trials {2**70}", r"search.trials: a whole number has at most 64 bits"),
    typed(f"{RUN} --workers 0", r"--workers: .* but got 0"),
    typed(f"{RUN} --workers -1", r"--workers: .* but got -1"),
    typed(f"{RUN} --workers 1000000000", r"--workers: .* but got 1000000000"),
    typed(f"{RUN} --workers x", r"error: argument --workers: invalid int value: 'x'"),
    typed(f"{RUN} --gpus x", r"--gpus: must name GPUs of this machine.*'x'"),
    typed(f"{RUN} --gpus 99", r"--gpus: must name GPUs of this machine.*'99'"),
    typed(f"{RUN} --gpus -1", r"--gpus"),
    typed(f"{RUN} --slots-per-gpu 0", r"--slots-per-gpu: a whole number from 1 on is needed, but got 0"),
    typed(f"{RUN} --gpus= --slots-per-gpu 2", r"--slots-per-gpu: needs GPUs to share, but --gpus names none"),
    typed(f"{RUN} --gpus= --require-gpu", r"--require-gpu: a GPU is needed, but --gpus names none"),
    typed(f"{RUN} --timeout nan", r"error: argument --timeout: seconds above 0 are needed, but got nan"),
    typed(f"{RUN} --timeout -1", r"error: argument --timeout: (seconds above 0|expected one argument)"),
    typed(f"{RUN} --timeout inf", r"error: argument --timeout: seconds above 0 are needed"),
    typed(f"{RUN} --timeout soon", r"error: argument --timeout: invalid"),
    typed(f"{RUN} --set search", r"--set: section.key=value is needed, but got 'search'"),
    typed(f"{RUN} --set =", r"--set: section.key=value is needed, but got '='"),
    typed(f"{RUN} --set .=1", r"--set: section.key=value is needed"),
    typed(f"{RUN} --set name.x=1", r"--set: name.x does not name a key of a table"),
    typed(f"{RUN} --set a.b=1", r"study.toml: a: unknown key"),
    typed(f"{RUN} --set {'a.' * 500}a=1", r"--set: tables and lists must be at most"),
    typed(f"{RUN} --set space.patch_radius={'[' * 3000}", r"space.patch_radius: a whole number is needed"),
    typed(
        f"{RUN} --set search.seed=0x{'f' * 300}", r"--set: search.seed: a whole number has at most 64 bits"
    ),
    typed(f"{RUN} --set search.trials={'1' * 5000}", r"search.trials: must be a whole number, but got '111"),
    typed(f"{RUN} --set training={{{{{'a.' * 60000}a=1}}}}", r"study.toml: training: must be a table"),
    typed(f"{RUN} --set name=../up", r"study.toml: name: "),
    typed(f"{RUN} --set validation.folds=nan", r"validation.folds: must be a whole number, but got nan"),
    typed(f"{RUN} --cohort {{world}}/nowhere", r"nowhere/cohort.toml: the file must be readable"),
    typed(f"{RUN} --cohort {{world}}/study.toml", r"study.toml: name|study.toml: "),
    typed(
        f"{RUN} --cohort {'c' * 300}", r"cohort.toml: the file must be readable, but got 'File name too long'"
    ),
    typed("run {world}/study.toml --home {world}/taken", r"taken", a_file("taken")),
    typed("run {world}/study.toml --home {world}/taken/deeper", r"taken", a_file("taken")),
    typed(f"run {{world}}/study.toml --home {'h' * 300}", r"h{100}"),
    typed("list --home {world}/taken", r"taken", a_file("taken")),
    typed("show toy --home {world}/taken", r"taken", a_file("taken")),
    typed(f"{RUN} --storage nonsense", r"--storage: "),
    typed(f"{RUN} --storage nonsense://x", r"--storage: "),
    typed(f"{RUN} --storage postgresql://", r"--storage: "),
    typed(f"{RUN} --tracking-uri nonsense", r"tracking URI: the scheme must be one of"),
    typed(f"{RUN} --tracking-uri sqlite://relative.db", r"tracking URI: an SQLite path must be absolute"),
    typed(f"{RUN} --tracking-uri file:///etc", r"tracking URI: the scheme must be one of"),
    typed(
        f"{RUN} --tracking-uri ftp://jo:{PASSWORD}@example.org",
        r"tracking URI: the scheme must be one of .*jo:\*\*\*@",
    ),
    typed(
        f"{RUN} --tracking-uri ftp://jo:{PASSWORD}@ex@mple.org/a:b@c",
        r"tracking URI: the scheme must be one of",
    ),
    typed("show nothing --home {world}/home", r"STUDY: no study 'nothing'"),
    typed("show ../../etc --home {world}/home", r"STUDY: no study '../../etc'"),
    typed(f"show {'s' * 300} --home {{world}}/home", r"STUDY: no study"),
    typed("show \x1b[2J --home {world}/home", r"STUDY: no study '\\x1b\[2J'"),
    typed("show", r"error: the following arguments are required: STUDY"),
    typed("ui --home {world}/home", r"--home: .* holds no study yet"),
    typed("ui --port 99999", r"error: argument --port: a port is a number"),
    typed("ui --port http", r"error: argument --port: "),
    typed("space {world}/nothing.toml", r"nothing.toml: a study file is needed"),
    typed(
        "space {world}/study.toml --set space.patch_radius=x", r"space.patch_radius: a whole number is needed"
    ),
    typed("patches", r"error: the following arguments are required: COHORT, --radius, --out"),
    typed(OUT, r"error: argument --out: expected one argument"),
    typed(f"{OUT} {{world}}/out.txt", r"--out: a name that ends in .npz is needed"),
    typed(f"{OUT} {{world}}/folder.npz", r"--out: \S+folder.npz cannot be written", a_folder("folder.npz")),
    typed(f"{OUT} {{world}}/taken/out.npz", r"--(out|home): .*/taken is ", a_file("taken")),
    typed(f"{OUT} {{world}}/{'o' * 300}.npz", r"o{100}.*: "),
    typed(f"{OUT} /proc/out.npz", r"--out: "),
    typed(f"{OUT} {{world}}/x.npz --home {{world}}/taken", r"--(out|home): .*/taken is ", a_file("taken")),
    typed(
        f"{PATCHES} --radius 1000000000", r"patch radius: 0 to 256 voxels are possible, but got 1000000000"
    ),
    typed(f"{PATCHES} --radius -1", r"patch radius: .* but got -1|argument --radius"),
    typed(f"{PATCHES} --radius x", r"error: argument --radius: invalid int value: 'x'"),
    typed(f"{PATCHES} --radius 2.5", r"error: argument --radius: invalid int value"),
    typed(f"{PATCHES} --slices 2", r"slices: an odd number is needed, but got 2"),
    typed(f"{PATCHES} --slices 0", r"slices: .* but got 0"),
    typed(f"{PATCHES} --slices 1000000001", r"slices: .* but got 1000000001"),
    typed(f"{PATCHES} --spacing 0", r"spacing_mm: 0.1 to 10 mm are possible, but got 0"),
    typed(f"{PATCHES} --spacing nan", r"spacing_mm: .* but got nan"),
    typed(f"{PATCHES} --spacing inf", r"spacing_mm: .* but got inf"),
    typed(f"{PATCHES} --spacing mm", r"error: argument --spacing: invalid float value"),
    typed(f"{PATCHES} --gene CD3", r"expression.tsv: row 1, column CD3: the gene is required"),
    typed(f"{PATCHES} --gene \x1b[31m", r"column \\x1b\[31m: the gene is required"),
    typed("patches {world}/nowhere --radius 2 --out {world}/x.npz", r"nowhere/cohort.toml: "),
    typed("patches {world}/study.toml --radius 2 --out {world}/x.npz", r"study.toml: "),
    typed(
        "patches {world}/cohort/biopsies.tsv --radius 2 --out {world}/x.npz", r"biopsies.tsv: TOML is needed"
    ),
    typed("patches /dev/zero --radius 2 --out {world}/x.npz", r"cohort.toml: .*Not a directory"),
    typed(f"patches {'c' * 300} --radius 2 --out {{world}}/x.npz", r"cohort.toml: .*File name too long"),
    typed(f"{PHANTOM} --participants 0", r"phantom: participants: must lie between 2 and 10000, but got 0"),
    typed(
        f"{PHANTOM} --participants 1000000000 --biopsies 1000000000",
        r"phantom: participants: must lie between",
    ),
    typed(f"{PHANTOM} --participants 10 --biopsies 5", r"phantom: biopsies: must lie between 10 and 80"),
    typed(f"{PHANTOM} --biopsies -3", r"phantom: biopsies: must lie between"),
    typed(f"{PHANTOM} --size 1", r"phantom: size: must lie between 24 and 256 voxels, but got 1"),
    typed(f"{PHANTOM} --size 1000000", r"phantom: size: must lie between 24 and 256 voxels, but got 1000000"),
    typed(f"{PHANTOM} --missing 2", r"phantom: missing: must be a probability below 1, but got 2"),
    typed(f"{PHANTOM} --missing nan", r"phantom: missing: must be a probability below 1, but got nan"),
    typed(f"{PHANTOM} --seed -1", r"phantom: seed: must not be negative|argument --seed"),
    typed(f"{PHANTOM} --seed x", r"error: argument --seed: invalid int value"),
    typed(f"{PHANTOM} --repeats 99", r"phantom: repeats: must lie between 0 and 45"),
    typed(f"{PHANTOM} --signal loud", r"phantom: signal: unknown name 'loud'"),
    typed(f"{PHANTOM} --kind cube", r"phantom: kind: unknown name 'cube'"),
    typed(f"{PHANTOM} --size 1 --missing 2 --seed -1", r"phantom: missing: must be a probability"),
    typed(PHANTOM, r"out: must be new or an empty folder", full_folder),
    typed(PHANTOM, r"out: must be new or an empty folder, but something is there", a_file("out")),
    typed(
        "phantom {world}/taken/out --participants 2 --biopsies 2 --size 24",
        r"taken/out: cannot be written",
        a_file("taken"),
    ),
    typed(f"phantom {{world}}/{'p' * 300}", r"p{100}.*: cannot be written"),
    typed("phantom {world}/loop", r"loop: ", lambda world: (world / "loop").symlink_to("loop")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_that_cannot_be_meant_is_refused(case: Case, world: Path) -> None:
    def run(argv: object) -> Answer:
        found = answer(argv)  # type: ignore[arg-type]
        assert PASSWORD not in found.err
        return found

    check_refused(case, world, run)


LARGE = ("--workers 1000000000", "--radius 1000000000", "--participants 1000000000", "--slices 1000000001")
SPAWNED = [case for case in CASES if any(part in case.command for part in LARGE)]


@pytest.mark.parametrize("case", SPAWNED, ids=lambda case: case.name)
def test_what_could_exhaust_a_machine_is_refused_in_little_memory(case: Case, world: Path) -> None:
    check_refused(case, world, lambda argv: spawned(argv, memory=4 * 2**30))


def test_patches_that_do_not_fit_into_memory_are_refused(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_prep.patches.memory_bytes", lambda: 2**30)
    command = f"{PATCHES} --radius 256 --slices 513"
    says = r"patch radius: patches may take 0.2 GiB, 25% of the memory, but radius 256 .* takes 8.0 GiB"
    check_refused(typed(command, says), world)


def test_a_phantom_stops_at_a_full_disk_and_leaves_nothing(
    world: Path, files_end_at: Callable[[int | None], None]
) -> None:
    before = tree(world)
    files_end_at(5000)
    found = answer(SMALL.format(world=world).split())
    files_end_at(None)
    assert (found.code, found.lines) == (3, [f"{world}/out: File too large"])
    assert tree(world) == before


def test_a_password_is_never_printed(world: Path) -> None:
    """Neither where the address is wrong, nor where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for uri in (f"postgresql://jo:{PASSWORD}@127.0.0.1:{port}/x", f"http://jo:{PASSWORD}@["):
        argv = ["list", "--home", str(world / "home"), "--storage", uri]
        found = answer(argv)
        assert found.code in (1, 3)
        assert PASSWORD not in found.out + found.err
        check_lines(found)


WORDS = st.sampled_from(
    [
        *(
            "--trials",
            "--workers",
            "--gpus",
            "--timeout",
            "--set",
            "--radius",
            "--slices",
            "--spacing",
            "--json",
        ),
        *(
            "-1",
            "0",
            "nan",
            "1e999",
            "x",
            "",
            "=",
            "a.b=c",
            "--",
            "-",
            "[",
            "search.trials=0",
            "\x1b[2J",
            "\u2028",
        ),
    ]
)


@settings(max_examples=60)
@given(
    words=st.lists(WORDS, max_size=5),
    command=st.sampled_from(["run", "patches", "show", "list", "phantom", "space"]),
)
def test_random_words_behind_a_command_are_refused_in_lines(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], command: str
) -> None:
    world = tmp_path_factory.mktemp("words")
    first = [] if command == "list" else [str(world / "nothing")]
    home = [] if command in ("phantom", "space") else ["--home", str(world / "home")]
    found = answer([command, *first, *home, *words, *(["--size", "1"] if command == "phantom" else [])])
    assert found.code in (0, 1, 2) if command == "list" else found.code in (1, 2)
    assert "Traceback" not in found.err
    assert tree(world) == {}


@given(st.text(max_size=30))
def test_any_override_is_taken_or_refused_in_lines(sound_world: Path, text: str) -> None:
    try:
        read_study(sound_world / "study.toml", [text])
    except InputError as error:
        lines = error.problems
    else:
        lines = ("study.toml: taken",)
    assert all(line.isprintable() and ":" in line for line in lines)
