"""What ties the maps of a cohort together: a page with a picture of each participant, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import quote

from data_prep.files import whole_file
from data_prep.tables import MISSING
from search.maps.making import Made
from search.maps.naming import file_name
from search.maps.page import environment
from search.maps.record import Told
from search.report.page import POLICY, policy

INDEX: Final = "index.html"
SUMMARY: Final = "summary.tsv"
COLUMNS: Final = (
    "participant_id",
    "map",
    "training",
    "label",
    "region_ml",
    "above_share",
    "mean_probability",
    "unlike_share",
    "correlation",
    "p_value",
    "seconds",
    "folder",
)


def write_index(
    out: Path, title: str, said: str, made: Sequence[Made], failed: Mapping[str, Sequence[str]]
) -> Path:
    """Write index.html and summary.tsv.

    Args:
        out: The folder of all maps.
        title: Of the page.
        said: By whom they were drawn, in one line.
        made: In the order to show them.
        failed: By participant, why there is no map.

    Returns:
        The page.
    """
    rows = [row for one in made for row in summary_rows(one)]
    with whole_file(out / SUMMARY) as draft:
        lines = ["\t".join(COLUMNS), *("\t".join(row) for row in rows)]
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    page = (
        environment()
        .get_template("index.html")
        .render(
            title=title,
            said=said,
            columns=COLUMNS,
            rows=rows,
            people=[card for one in made for card in _cards(one)],
            failed=failed,
            version=version("radsearch"),
            policy=POLICY,
        )
    )
    with whole_file(out / INDEX) as draft:
        draft.write_text(page.replace(POLICY, _own_pictures(policy(page)), 1), encoding="utf-8")
    return out / INDEX


def summary_rows(made: Made) -> list[list[str]]:
    """A row for each visit and label, text by `COLUMNS`; what is unknown is n/a."""
    rows = []
    for told in made.record["maps"]:
        scores = {score["label"]: score for score in told.get("scores", ())}
        for label in told["labels"]:
            score = scores.get(label["name"], {})
            values = (
                made.participant,
                told["name"],
                _training(made.record),
                label["name"],
                told["region"]["volume_ml"],
                label["above_share"],
                label["mean_probability"],
                told["unlike_share"],
                score.get("correlation"),
                score.get("p_value"),
                told["seconds"],
                made.folder.name,
            )
            rows.append([_text(value) for value in values])
    return rows


def _training(record: Told) -> str:
    if not record["in_training"]:
        return "no"
    return f"out of fold {record['fold'] + 1}" if record["out_of_fold"] else "yes"


def _cards(made: Made) -> list[tuple[str, str, str]]:
    """Of each visit: its name, the address of its page and of its first picture."""
    folder = quote(made.folder.name)
    cards = []
    for told in made.record["maps"]:
        stem = file_name(told["name"])
        picture = f"{stem}_{file_name(told['labels'][0]['name'])}.png"
        cards.append((told["name"], f"{folder}/{quote(stem)}.html", f"{folder}/{quote(picture)}"))
    return cards


def _own_pictures(text: str) -> str:
    """The policy of the reports, and pictures from beside the page."""
    return text.replace("img-src data: blob:", "img-src 'self' file: data:")


def _text(value: object) -> str:
    if value is None:
        return MISSING
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())
