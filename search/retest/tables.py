"""What `radsearch retest` prints, and the tables that it writes."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from data_prep.map_sites import MapSites
from search.refits.selected import selected_text
from search.retest.features import EXCELLENT, GOOD, FeatureAgreement
from search.retest.judged import Judged
from search.retest.paired import Paired
from search.retest.record import Retest
from search.statistics.agreement import Measure
from search.tables import number

SHOWN = 5
"""Features at each end of the list."""


def agreement_table(found: Retest) -> Table:
    """A row a figure; a column for the biopsies, and one for the map where there is one."""
    columns = [judged for judged in (found.biopsies, found.maps) if judged is not None]
    plan = found.plan
    what = selected_text([config.settings for config in plan.configs])
    chosen = "trial" if plan.rule == "named" else f"selected by {plan.rule}: trial"
    numbers = ", ".join(map(str, plan.trials))
    title = f"{plan.study.name}: second scans against first\n{what} ({chosen} {numbers})"
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    table.add_column("probabilities")
    for name in ("biopsies", "map")[: len(columns)]:
        table.add_column(name)
    for label, *cells in _rows(columns):
        table.add_row(label, *cells)
    if found.maps is not None:
        values = found.map_iccs
        told = f"median {median(values):.3f}, {min(values):.3f} to {max(values):.3f}" if values else "-"
        table.add_row("ICC(A,1) of one map", "", told)
    return table


def _rows(columns: list[Judged]) -> Iterator[tuple[str, ...]]:
    yield ("sites (participants)", *(f"{one.sites:,} ({one.participants})" for one in columns))
    for form in ("A", "C", "1"):
        yield (f"ICC({form},1)", *(_told(one.icc[form]) for one in columns))
    apart = [one.differences for one in columns]
    yield ("bias", *("-" if one is None else _told(one.bias, "+.3f") for one in apart))
    limits = ("-" if one is None else f"{_value(one.lower)} to {_value(one.upper)}" for one in apart)
    yield ("limits of agreement", *limits)
    yield ("repeatability", *("-" if one is None else _told(one.repeatability) for one in apart))
    flips = [one.flips for one in columns]
    yield ("labels that flip", *("-" if one is None else _told(one.share, ".1%") for one in flips))
    yield ("flips by chance", *("-" if one is None else f"{one.by_chance:.1%}" for one in flips))
    yield ("kappa", *("-" if one is None else number(one.kappa) for one in flips))
    yield (
        "near cut; flips beyond",
        *(
            "-" if one is None or one.unstable is None else f"{one.unstable:,}; {one.flips_elsewhere:,}"
            for one in flips
        ),
    )


def features_table(features: tuple[FeatureAgreement, ...]) -> Table:
    """The features that agree best and least; all are in the JSON document and under --out."""
    known = [one for one in features if one.icc.value is not None]
    table = Table(title="features: ICC(A,1)", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    for name in ("feature", "set", "radius", "sites", "ICC(A,1)"):
        table.add_column(name, justify="right" if name in ("radius", "sites") else "left")
    shown = known if len(known) <= 2 * SHOWN else [*known[:SHOWN], None, *known[-SHOWN:]]
    for one in shown:
        if one is None:
            table.add_row("...")
        else:
            cells = (one.set.name, str(one.set.radius), str(one.sites), _told(one.icc))
            table.add_row(Text(one.feature), *cells)
    return table


def notes(found: Retest) -> list[str]:
    """What the tables do not say."""
    lines = [f"No ICC of the biopsies: {found.biopsies.reason}."] if found.biopsies.reason else []
    if found.maps is not None and found.maps.reason:
        lines.append(f"No ICC of the map: {found.maps.reason}.")
    if found.biopsies.flips is not None:
        drawn = found.biopsies.flips.share.drawn is not None
        lines.append(_of_intervals(found.biopsies.participants, drawn))
    lines.append(
        "Every probability is by a model that saw no scan of the participant. An ICC is the share of the "
        "variance that another scan repeats. It does not say whether what is repeated is right."
    )
    if found.maps is not None and found.lattice is not None:
        lines.append(_of_maps(found, found.lattice))
    lines.append(_of_features(found))
    return lines


def _of_intervals(participants: int, drawn: bool) -> str:
    if drawn:
        return f"Intervals (95 %) are over draws of the {participants} participants."
    return (
        f"Intervals (95 %) take biopsies as independent, as {participants} participants are too few to draw "
        "from: they are too narrow where a participant has several."
    )


def _of_maps(found: Retest, sites: MapSites) -> str:
    most, regions = found.plan.scenes.most, sorted(set(sites.region.values()))
    thinned = sum(n > most for n in sites.candidates.values())
    return (
        f"Map: a lattice of {found.stride_mm:g} mm ({' or '.join(regions)}), at most {most} sites a "
        f"participant; {thinned} had more, of which so many were drawn. Neighbours see the same voxels."
    )


def _of_features(found: Retest) -> str:
    values = found.feature_iccs
    if not found.features:
        return "What was selected reads no intensities: there are no features to compare."
    stands_in = any(one.set.stands_in for one in found.features)
    ladder = " (the shallow ladder's, on the network's patches)" if stands_in else ""
    return (
        f"Features{ladder}: of {len(values)}, {sum(v >= EXCELLENT for v in values)} have "
        f"ICC >= {EXCELLENT:g}, and {sum(v >= GOOD for v in values)} >= {GOOD:g}."
    )


def sites_lines(paired: Paired, column: str) -> list[str]:
    """A tab-separated table of what was said of each site.

    Args:
        paired: What was said.
        column: What the sites are called.
    """
    first, second = paired.probabilities
    one, other = paired.margins
    lines = ["\t".join((column, "participant_id", "fold", "first", "second", "label_first", "label_second"))]
    for row, site in enumerate(paired.site):
        cells = (f"{first[row]:.6f}", f"{second[row]:.6f}", f"{one[row] > 0:d}", f"{other[row] > 0:d}")
        lines.append("\t".join((site, paired.participant[row], str(paired.fold[row]), *cells)))
    return lines


def features_lines(features: tuple[FeatureAgreement, ...]) -> list[str]:
    """A tab-separated table of all features, the best first."""
    lines = ["\t".join(("feature", "set", "radius", "sites", "icc", "low", "high"))]
    for one in features:
        low, high = one.icc.ci95 or (None, None)
        cells = ("n/a" if value is None else f"{value:.4f}" for value in (one.icc.value, low, high))
        lines.append("\t".join((one.feature, one.set.name, str(one.set.radius), str(one.sites), *cells)))
    return lines


def _value(measure: Measure) -> str:
    return "-" if measure.value is None else f"{measure.value:+.3f}"


def _told(measure: Measure, form: str = ".3f") -> str:
    """A figure and its interval.

    >>> _told(Measure(0.5, (0.25, 0.75)), ".0%")
    '50% (25% to 75%)'
    """
    if measure.value is None:
        return "-"
    ends = measure.ci95
    interval = f" ({ends[0]:{form}} to {ends[1]:{form}})" if ends else ""
    return f"{measure.value:{form}}{interval}"
