"""A world in which one thing is wrong, and what every command must do about it.

The cases of the modules `test_bad_input_*` are counted by `test_bad_input_cases.py`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.cli import main

ROOT = Path(__file__).parents[2]
SECONDS = 20  # a case in this process; a hundred times what the slowest takes

STUDY = """
name = "toy"
cohort = "cohort"

[validation]
folds = 2

[search]
trials = 2
sampler = "random"
pruner = "none"

[space]
architecture = ["constant", "roi_means"]
patch_radius = { low = 1, high = 2 }
"""


PATCHES = "patches {world}/cohort --radius 2 --out {world}/out/patches.npz --home {world}/home"
RUN = "run {world}/study.toml --home {world}/home"
NEWS = ("reading volumes: participant ", "building each of the study's own networks")
KEPT = r"home(/cache(/[0-9a-f]{64}(/\w+\.(npy|json))?)?)?$"  # patches, whole, which the next start reads


@dataclass(frozen=True)
class Case:
    """One thing that is wrong.

    Attributes:
        name: Of the test.
        spoil: Makes it wrong; called with the world's folder.
        says: Regular expression that some line of the complaint matches.
        command: As one types it behind `radsearch`; {world} stands for the world's folder.
    """

    name: str
    spoil: Callable[[Path], object]
    says: str
    command: str = PATCHES

    def argv(self, world: Path) -> list[str]:
        """The arguments, none of which holds a space unless the world's folder does."""
        return [part.format(world=world) for part in self.command.split()]


@dataclass(frozen=True)
class Answer:
    """How a command ended.

    Attributes:
        code: Its exit code.
        out: Its stdout.
        err: Its stderr.
    """

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it complained of, a line a problem; argparse says its usage first."""
        lines = self.err.splitlines()
        if self.code == 2:
            return [line for line in lines if re.match(r"radsearch( \w+)?: error: ", line)]
        return [line for line in lines if not line.startswith(NEWS)]


def answer(argv: Sequence[str]) -> Answer:
    """Run a command in this process, for so long at most."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _alarm():
        try:
            code = main(list(argv))
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
    return Answer(code, out.getvalue(), err.getvalue())


def spawned(argv: Sequence[str], seconds: float = 60.0, memory: int | None = None) -> Answer:
    """Run a command in a process of its own, with so much memory and time at most.

    Args:
        argv: Arguments.
        seconds: After them the process is killed and the test fails.
        memory: Bytes of address space; None for as much as there is.
    """
    code = "import sys; from search.cli import main; sys.exit(main())"
    if memory is not None:
        code = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory})); {code}"
    # BLAS reserves address space for each thread.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=seconds,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def check_refused(
    case: Case, world: Path, run: Callable[[Sequence[str]], Answer] = answer, left: str = KEPT
) -> None:
    """Spoil a world, run the command, and hold it to what a user relies on.

    Exit code 1 or 2; a line a problem, each with its place and in plain text, none twice; no traceback; and
    every file as it was, none beside them but those whose path matches `left`.
    """
    case.spoil(world)
    before = tree(world)
    found = run(case.argv(world))
    assert found.code in (1, 2), (found.code, found.err[-2000:])
    check_lines(found)
    assert any(re.search(case.says, line) for line in found.lines), found.err
    after = tree(world)
    assert {k: what for k, what in after.items() if k in before or not re.match(left, k)} == before


def check_lines(found: Answer) -> None:
    """Each line is one problem, in plain text, with its place."""
    assert "Traceback" not in found.err
    lines = found.lines
    assert lines
    assert len(set(lines)) == len(lines), found.err
    for line in lines:
        assert line.isprintable(), repr(line)
        assert len(line) < 2000
        assert re.match(r"[^:]+: ?\S", line), line
    assert found.out == ""


def tree(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """Kind, size, time of change and target of all that is in a folder; of folders the kind alone."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            status = path.lstat()
            target = str(path.readlink()) if path.is_symlink() else ""
            content = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
            found[str(path.relative_to(folder))] = (status.st_mode, *content, target)
    return found


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Turn a hang into a failure."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"the command took more than {SECONDS} s")

    old = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


# How files are spoilt.


def nothing(_: Path) -> None:
    """The command itself is wrong."""


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Put `new` in place of the first `old`, which must be there, as UTF-8."""

    def spoil(world: Path) -> None:
        text = (world / file).read_text(encoding="utf-8")
        assert old in text
        (world / file).write_bytes(text.replace(old, new, 1).encode())

    return spoil


def written(file: str, content: str | bytes) -> Callable[[Path], None]:
    """Write a file anew."""

    def spoil(world: Path) -> None:
        (world / file).write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def in_place_of(file: str, put: Callable[[Path], object]) -> Callable[[Path], None]:
    """Remove a file and have `put` make something else of its path."""

    def spoil(world: Path) -> None:
        (world / file).unlink()
        put(world / file)

    return spoil


def both(*spoils: Callable[[Path], object]) -> Callable[[Path], None]:
    """One after the other."""

    def spoil(world: Path) -> None:
        for each in spoils:
            each(world)

    return spoil
