"""The reporting sheet: what of TRIPOD+AI, METRICS and CLAIM the report answers, and what it leaves open.

Items are in words of our own; their numbers are those that the project's science note gives.

References:
    Collins GS et al. (2024), TRIPOD+AI, BMJ 385; Kocak B et al. (2024), METRICS, Insights Imaging 15;
    Tejani AS et al. (2024), CLAIM 2024 update, Radiology: AI 6.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from search.report.blocks import Link, Table

FILLED, PARTLY, AUTHOR = "filled", "partly", "author"


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes:
        guideline: Its checklist.
        number: In it; empty where it has none here.
        topic: What it asks for.
        anchors: The sections that answer it.
        left: What they leave to the author; empty where they answer it whole.
    """

    guideline: str
    number: str
    topic: str
    anchors: tuple[str, ...] = ()
    left: str = ""

    def status(self, shown: Collection[str]) -> str:
        """Filled, partly filled, or left to the author, by the sections that the page has."""
        there = [anchor for anchor in self.anchors if anchor in shown]
        if not there:
            return AUTHOR
        return PARTLY if self.left or len(there) < len(self.anchors) else FILLED


ABSENT = {  # what is said of a section that the page does not have
    "audit": "the audit was not run",
    "rescored": "finalists were not scored on other folds",
    "retest": "second scans were not compared",
    "importance": "importance was not measured",
    "explained": "no model was made and explained",
    "curves": "there are no learning curves",
    "search": "there are no plots of the search",
}
TRIPOD, METRICS, CLAIM, ALWAYS, AUTHORS = "TRIPOD+AI", "METRICS", "CLAIM 2024", "always", "author only"
ITEMS = (
    Item(TRIPOD, "7", "how data were prepared", ("cohort",)),
    Item(TRIPOD, "8", "outcome and how it is cut", ("cohort",), "how the assay was made and read"),
    Item(TRIPOD, "9", "predictors", ("cohort",), "why these sequences"),
    Item(TRIPOD, "10", "sample size and what it allows", ("summary",), "how the size came about"),
    Item(TRIPOD, "11", "missing data", ("cohort",)),
    Item(
        TRIPOD,
        "12",
        "analysis: models, search, selection, internal validation",
        ("cohort", "estimate", "folds"),
    ),
    Item(TRIPOD, "13", "class balance", ("cohort", "folds")),
    Item(TRIPOD, "14", "fairness"),
    Item(TRIPOD, "15", "form of the model's output", ("performance",), "how it is to be read and used"),
    Item(TRIPOD, "16", "training against evaluation data", ("folds",)),
    Item(TRIPOD, "18", "code and how to run it again", ("provenance",), "where code and data can be had"),
    Item(TRIPOD, "20", "flow of participants", ("cohort",), "their characteristics"),
    Item(TRIPOD, "21", "participants and events in each analysis", ("cohort", "folds")),
    Item(TRIPOD, "22", "specification of the model", ("trials",)),
    Item(TRIPOD, "23", "performance with intervals", ("estimate", "performance")),
    Item(METRICS, "3", "reference standard", ("cohort",), "quality of the assay and of the targeting"),
    Item(METRICS, "6", "image acquisition", ("cohort",), "scanners and protocols"),
    Item(METRICS, "11", "preprocessing of images", ("cohort",)),
    Item(METRICS, "12", "software that extracts", ("provenance",)),
    Item(METRICS, "13", "settings of extraction", ("cohort", "trials")),
    Item(METRICS, "14", "removal of features", ("trials",), "which features were removed, and why"),
    Item(METRICS, "15", "number of features against sample size", ("trials", "ladder")),
    Item(METRICS, "16", "dimension of deep features", ("trials",), "how many features a network makes"),
    Item(
        METRICS,
        "17",
        "robustness against other folds, seeds and scans",
        ("rescored", "retest"),
        "other segmentations",
    ),
    Item(METRICS, "18", "partition without leak", ("folds", "audit")),
    Item(METRICS, "19", "confounders", ("audit",)),
    Item(METRICS, "20", "metrics of performance", ("performance",)),
    Item(METRICS, "21", "uncertainty", ("estimate", "performance")),
    Item(METRICS, "22", "calibration", ("figure-calibration",)),
    Item(METRICS, "23", "comparison with single sequences", ("importance",), "models of one sequence alone"),
    Item(CLAIM, "", "sources of data", ("cohort",), "where, when and from whom"),
    Item(CLAIM, "", "exclusions", ("cohort",), "those before the cohort's tables were written"),
    Item(CLAIM, "", "preprocessing", ("cohort",)),
    Item(CLAIM, "", "partitions", ("folds",)),
    Item(CLAIM, "", "model", ("trials",)),
    Item(CLAIM, "", "training", ("cohort", "curves", "trials")),
    Item(CLAIM, "", "selection of the model", ("estimate", "search")),
    Item(CLAIM, "", "ensembling", ("estimate",)),
    Item(CLAIM, "", "explainability", ("explained",), "whether it fits what is known of the tissue"),
    Item(CLAIM, "", "metrics and their uncertainty", ("estimate", "performance")),
    Item(CLAIM, "", "failures: the worst cases", ("cases",)),
    Item(ALWAYS, "", "ledger of every trial", ("trials",)),
    Item(ALWAYS, "", "hashes of folds, patches and labels", ("folds",)),
    Item(ALWAYS, "", "seeds", ("provenance",)),
    Item(ALWAYS, "", "versions of the software", ("provenance",)),
    Item(ALWAYS, "", "hardware and cost", ("provenance", "cost")),
    Item(ALWAYS, "", "model card: research use only", ("use",)),
    *(
        Item(AUTHORS, "", topic)
        for topic in (
            "whether the cohort is representative",
            "eligibility of participants",
            "blinding",
            "quality of the assay",
            "ethics and consent",
            "role in the clinic",
            "external testing",
        )
    ),
)


def sheet_table(shown: Collection[str], titles: dict[str, str]) -> Table:
    """The sheet, filled in as far as the sections of a page answer it.

    Args:
        shown: Anchors of what the page has.
        titles: Of its sections, by anchor.
    """
    rows = tuple(
        (
            item.guideline,
            item.number,
            item.topic,
            item.status(shown),
            tuple(_links(item, shown, titles)) or None,
            _left(item, shown),
        )
        for item in ITEMS
    )
    return Table(
        "sheet",
        "Reporting sheet, filled in as far as software can",
        ("checklist", "item", "topic", "status", "answered in", "left to the author"),
        rows,
        note=f"Of {len(ITEMS)} items {_tally(shown)}.",
        shown=len(ITEMS),
    )


def _links(item: Item, shown: Collection[str], titles: dict[str, str]) -> Iterator[Link]:
    for anchor in item.anchors:
        if anchor in shown:
            yield Link(anchor, titles.get(anchor, anchor))


def _left(item: Item, shown: Collection[str]) -> str:
    absent = [anchor for anchor in item.anchors if anchor not in shown]
    told = [item.left] if item.left else []
    told += [ABSENT.get(anchor, f"{anchor} is not on this page") for anchor in absent]
    return "; ".join(told) or ("all of it" if not item.anchors else "")


def _tally(shown: Collection[str]) -> str:
    states = [item.status(shown) for item in ITEMS]
    return ", ".join(f"{states.count(state)} are {name}" for state, name in _NAMES.items())


_NAMES = {FILLED: "filled", PARTLY: "filled in part", AUTHOR: "left to the author"}
