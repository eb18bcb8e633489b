from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from search import source_files as module
from search.source_files import FOLDERS, source_files, source_hash


def test_the_source_is_another_once_a_file_differs_is_added_or_has_another_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("x = 1\n")
    two.write_text("")
    files = {"search/one.py": one}
    hashes = [source_hash(files), source_hash({"search/two.py": one}), source_hash(files | {"b.py": two})]
    one.write_text("x = 2\n")
    hashes.append(source_hash(files))
    assert len(set(hashes)) == 4
    one.write_text("x = 1\n")
    assert source_hash(files) == hashes[0]


def test_how_lines_end_makes_no_difference(tmp_path: Path) -> None:
    hashes = set()
    for end in (b"\n", b"\r\n"):
        (tmp_path / "one.py").write_bytes(end.join([b"x = 1", b"y = 2", b""]))
        hashes.add(source_hash({"search/one.py": tmp_path / "one.py"}))
    assert len(hashes) == 1


def test_every_python_file_of_ours_counts() -> None:
    root = Path(module.__file__).parents[1]
    ours = {str(path.relative_to(root)) for top in FOLDERS for path in (root / top).rglob("*.py")}
    assert set(source_files()) == ours
    assert "search/source_files.py" in ours


def test_what_editors_keep_in_hidden_places_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / ".venv" / "kept"
    for name in ("__init__.py", "below/one.py", ".ipynb_checkpoints/one-checkpoint.py", ".#one.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(module, "FOLDERS", ("kept",))
    assert set(source_files()) == {"kept/__init__.py", "kept/below/one.py"}


def test_to_know_it_nothing_heavy_is_loaded() -> None:
    """The child, which asks at its start, knows neither Optuna nor MLflow."""
    code = (
        "import sys, search.source_files as s; s.source_files(); print({'optuna', 'mlflow'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
