from __future__ import annotations

from pathlib import Path

import pytest

from search.cli import main

STUDIES = Path(__file__).parents[3] / "studies"


@pytest.mark.parametrize("name", [path.stem for path in sorted(STUDIES.glob("*.toml"))])
def test_every_study_that_ships_has_a_space_that_can_be_drawn(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["space", str(STUDIES / f"{name}.toml")]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name}: ")
    assert "architecture" in out
    assert "combination" in out.splitlines()[-1]


def test_the_papers_space_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """15 radii for each ResNet, 3 for DenseNet201, with 3 optimizers and 6 batch sizes."""
    main(["space", str(STUDIES / "paper.toml")])
    assert "594 combinations" in capsys.readouterr().out


def test_a_wrong_space_is_refused_with_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.toml"
    path.write_text('name = "s"\n[space]\noptimiser = ["adam"]\narchitecture = ["resnet51"]\n')
    assert main(["space", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("did you mean" in line for line in lines)
