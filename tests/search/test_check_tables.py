from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console, RenderableType

from search.check_tables import (
    MOST_LINES,
    MOST_ROWS,
    findings_list,
    presence_table,
    sites_line,
    summary_line,
    wrapped,
)


def shown(renderable: RenderableType, width: int = 80) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def person(name: str, absent: str = "", unreadable: tuple[str, ...] = ()) -> dict[str, Any]:
    present = {sequence: sequence != absent for sequence in ("T1", "T2")}
    return {"participant": name, "biopsies": ["a", "b"], "present": present, "unreadable": list(unreadable)}


def finding(
    number: int, severity: str = "error", code: str = "grid-differs", advice: str = "Do this."
) -> dict[str, Any]:
    return {
        "severity": severity,
        "code": code,
        "where": f"sub-{number}",
        "what": "law, but got [value].",
        "advice": advice,
    }


def record(people: list[dict[str, Any]], findings: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {
        f"{name}s": sum(f["severity"] == name for f in findings) for name in ("error", "warning", "note")
    }
    return {
        "cohort": "mine",
        "sequences": ["T1", "T2"],
        "counts": counts | {"participants": len(people), "biopsies": 2 * len(people), "sequences": 2},
        "participants": people,
        "sites": [
            {"part": "tumor", "of": 4, "inside": 3, "farthest_mm": 2.25, "outside": ["a"]},
            {"part": "image", "of": 4, "inside": 4, "farthest_mm": None, "outside": []},
        ],
        "findings": findings,
    }


def test_each_participant_has_a_row_with_what_is_there() -> None:
    text = shown(presence_table(record([person("sub-1"), person("sub-2", "T2", ("T1",))], [])))
    rows = [line.split() for line in text.splitlines()]
    assert ["sub-1", "2", "+", "+"] in rows
    assert ["sub-2", "2", "!", "-"] in rows
    assert ["all", "4", "2", "1"] in rows
    assert "+ there, - absent, ! cannot be read" in text


def test_of_many_participants_those_that_lack_nothing_are_counted() -> None:
    people = [person(f"sub-{number}", "T1" if number == 5 else "") for number in range(MOST_ROWS + 10)]
    text = shown(presence_table(record(people, [])))
    assert [line.split()[0] for line in text.splitlines() if line.strip().startswith("sub-")] == ["sub-5"]
    assert f"{MOST_ROWS + 9} other participants have all" in text


def test_findings_of_one_kind_are_told_together_the_first_few_in_full() -> None:
    findings = [finding(number) for number in range(MOST_LINES + 3)]
    text = shown(findings_list(record([], [*findings, finding(99, "note", "half-voxels")])))
    assert text.count("law, but got [value].") == MOST_LINES + 1
    assert f"error grid-differs ({MOST_LINES + 3})" in text
    assert "and 3 more" in text
    assert text.count("Do this.") == 2
    assert text.index("error") < text.index("note half-voxels")


def test_advice_that_differs_stands_with_each_finding() -> None:
    text = shown(findings_list(record([], [finding(1, advice="This."), finding(2, advice="That.")])))
    assert text.index("sub-1") < text.index("This.") < text.index("sub-2") < text.index("That.")


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_the_terminal_and_hide_nothing(width: int) -> None:
    told = finding(1) | {"where": "\x1b[31mred", "what": "word " * 60}
    lines = shown(findings_list(record([], [told])), width).splitlines()
    assert max(map(len, lines)) <= width
    assert "\\x1b" in lines[1]


def test_the_last_lines_count() -> None:
    some = record([person("sub-1"), person("sub-2")], [finding(1), finding(2, "note")])
    assert (
        summary_line(some) == "mine: 1 error, 0 warnings, 1 note in 2 participants, 4 biopsies, 2 sequences"
    )
    assert summary_line(record([person("sub-1")], [])) == (
        "mine: nothing to complain of in 1 participant, 2 biopsies, 2 sequences"
    )
    assert (
        sites_line(some) == "sites: 4 of 4 in the image, 3 of 4 in the tumour mask (others up to 2.2 mm off)"
    )


def test_summaries_fit_a_terminal_of_80_columns() -> None:
    some = record([person("sub-1"), person("sub-2")], [finding(1), finding(2, "note")])
    some["cohort"] = "a-cohort-with-a-name"
    some["sites"][0]["of"] = some["sites"][1]["of"] = 1000
    for line in (sites_line(some), summary_line(some)):
        lines = wrapped(line)
        assert len(lines) == 2
        assert all(len(part) <= 80 for part in lines)
        assert " ".join(" ".join(lines).split()) == line
    assert wrapped("short") == ["short"]
