"""What the command says of the maps that there are: scores.json, the page over them, tables, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.files import whole_file
from data_prep.phantom.write import json_bytes
from data_prep.problems import one_line
from search.maps.asking import Asking
from search.maps.index import write_index
from search.maps.making import Made
from search.maps.score import MapsScore, scores_table, summarise
from search.maps.several import Several
from search.maps.words import USE
from search.terminal import say

SCORES: Final = "scores.json"


def write_scores(out: Path, made: Sequence[Made]) -> list[MapsScore]:
    """The mean of each label that was held against a truth, written to scores.json if there is one."""
    scores = [score for one in made for score in one.scores]
    labels = dict.fromkeys(score.label for score in scores)
    found = [summarise([score for score in scores if score.label == label]) for label in labels]
    if found:
        with whole_file(out / SCORES) as draft:
            draft.write_bytes(json_bytes({"scores": [score.as_json() for score in found]}))
    return found


def show(
    as_json: bool, asking: Asking, found: Several, scores: Sequence[MapsScore], over_all: Path | None
) -> None:
    """Write the page over all maps where one is wanted, and print what there is.

    Args:
        as_json: One document in place of tables.
        asking: What was drawn.
        found: The maps.
        scores: Of each label.
        over_all: The folder for index.html; None for no such page.
    """
    page = _index(asking, over_all, found) if over_all is not None and found.made else None
    if as_json:
        record: dict[str, Any] = {
            "maps": [{**one.record, "folder": str(one.folder)} for one in found.made],
            "failed": {who: list(lines) for who, lines in found.failed.items()},
            "scores": [score.as_json() for score in scores],
            "index": None if page is None else str(page),
        }
        sys.stdout.write(json.dumps(record, indent=2, allow_nan=False) + "\n")
    else:
        console = Console(highlight=False)
        console.print(maps_table(found.made))
        for score in scores:
            console.print(scores_table(score))
        say(asking.model.facts.intended_use)
        for place in [page] if page is not None else [one.folder for one in found.made]:
            say(f"wrote {place}")
    for who, lines in found.failed.items():
        for line in lines:
            sys.stderr.write(one_line(f"no map of {who}: {line}") + "\n")


def _index(asking: Asking, out: Path, found: Several) -> Path:
    facts = asking.model.facts
    title = f"Maps of {', '.join(facts.label_names)} in {asking.cohort.name}"
    how = "out of fold" if asking.out_of_fold else "by all members"
    said = f"model {facts.name}{'' if facts.version is None else f', version {facts.version}'}; {how}; {USE}"
    return write_index(out, title, said, found.made, found.failed)


def maps_table(made: Sequence[Made]) -> Table:
    """A row a map and label."""
    table = Table(title="maps", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    for name in ("map", "label", "ml", "above threshold", "unlike training", "time"):
        table.add_column(name, justify="left" if name in ("map", "label") else "right")
    for one in made:
        for told in one.record["maps"]:
            for label in told["labels"]:
                table.add_row(
                    Text(told["name"]),
                    Text(label["name"]),
                    f"{told['region']['volume_ml']:.1f}",
                    f"{label['above_share']:.0%}",
                    f"{told['unlike_share']:.0%}",
                    f"{told['seconds']:.0f} s",
                )
    return table
