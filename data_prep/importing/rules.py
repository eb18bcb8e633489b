"""Which files are which sequence: NAME=RULE of `--sequence` and `--mask`.

For BIDS a rule is a filter of entities, `suffix:T1w,ceagent:gd`; names are those of pybids, values compare
without case, `a|b` is either, `any` is any value and `none` no value. For folders a rule is the text that
`{sequence}` matches. Several rules of one name are alternatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from data_prep.places import is_plain_name
from data_prep.problems import Problems, nearest
from data_prep.records import MASKS

ENTITIES: Final = {
    "sub": "subject",
    "ses": "session",
    "acq": "acquisition",
    "ce": "ceagent",
    "rec": "reconstruction",
    "dir": "direction",
    "mod": "modality",
    "seg": "segmentation",
    "nuc": "nucleus",
    "voi": "volume",
    "stain": "staining",
    "trc": "tracer",
}
"""Entities whose name in a file differs from that of pybids; rules may use either."""


INDICES: Final = ("run", "echo", "flip", "inv", "chunk")
"""Entities whose values are numbers: run 1 is `run-01`."""


@dataclass(frozen=True)
class Rule:
    """One NAME=RULE.

    Attributes:
        name: The sequence or mask.
        text: The rule as it was written.
    """

    name: str
    text: str

    def filters(self) -> dict[str, tuple[str, ...]]:
        """Entity -> legal values in lower case, of a rule of BIDS."""
        return parse_filters(self.text)


def parse_filters(text: str) -> dict[str, tuple[str, ...]]:
    """Entities and their legal values.

    Raises:
        ValueError: A part is not ENTITY:VALUE.

    >>> parse_filters("suffix:T1w,ce:gd|gad")
    {'suffix': ('t1w',), 'ceagent': ('gd', 'gad')}
    """
    filters = {}
    for part in text.split(","):
        entity, colon, values = (piece.strip() for piece in part.partition(":"))
        if not colon or not entity or not values:
            raise ValueError(part)
        filters[ENTITIES.get(entity, entity)] = tuple(value.strip().lower() for value in values.split("|"))
    return filters


def fits(entities: Mapping[str, str], filters: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a file's entities pass a filter; entities that it does not name may be anything.

    >>> fits({"suffix": "T1w", "ceagent": "gd"}, parse_filters("suffix:T1w,ce:none"))
    False
    """
    for entity, values in filters.items():
        value = entities.get(entity)
        if value is None:
            legal = "none" in values
        elif entity in INDICES:
            legal = "any" in values or _index(value) in map(_index, values)
        else:
            legal = "any" in values or value.lower() in values
        if not legal:
            return False
    return True


def _index(text: str) -> str:
    return text.lstrip("0") or "0"


def check_entities(
    where: str, filters: Mapping[str, tuple[str, ...]], known: Iterable[str], problems: Problems
) -> None:
    """Note entities that no name can have."""
    for entity in filters:
        if entity not in known:
            problems.add(where, f"unknown entity '{entity}'; {nearest(entity, {*known, *ENTITIES})}.")


DEFAULTS: Final = tuple(
    Rule(name, text)
    for name, texts in {
        "FA": ("suffix:FA", "suffix:dwi|dti,desc:FA", "suffix:dwimap|dwi|dti,param:FA"),
        "MD": ("suffix:MD", "suffix:dwi|dti,desc:MD", "suffix:dwimap|dwi|dti,param:MD"),
        "ADC": ("suffix:ADC", "suffix:dwi,desc:ADC", "suffix:dwimap|dwi,param:ADC"),
        "FLAIR": ("suffix:FLAIR",),
        "rCBV": ("suffix:rCBV|CBV", "suffix:perf|dsc|dscmap,desc:rCBV", "suffix:perf|dsc|dscmap,param:rCBV"),
        "srCBV": ("suffix:srCBV", "suffix:perf|dsc|dscmap,desc:srCBV", "suffix:perf|dsc|dscmap,param:srCBV"),
        "T1": ("suffix:T1w,ce:none",),
        "T1Gd": ("suffix:T1w,ce:any",),
        "T2": ("suffix:T2w",),
    }.items()
    for text in texts
)
"""What an ordinary BIDS dataset has, in channel order."""

DEFAULT_MASKS: Final = (
    Rule("brain", "suffix:mask,desc:brain"),
    Rule("brain", "suffix:mask,label:brain"),
    Rule("tumor", "suffix:mask,desc:tumor|tumour|lesion"),
    Rule("tumor", "suffix:mask,label:tumor|tumour|lesion"),
    Rule("tumor", "suffix:dseg,desc:tumor|tumour|lesion"),
)


def read_rules(flag: str, texts: Iterable[str], bids: bool, problems: Problems) -> tuple[Rule, ...]:
    """Read NAME=RULE of a flag.

    Args:
        flag: "--sequence" or "--mask".
        texts: Values of the flag.
        bids: Whether rules are filters of entities.
        problems: Receives what is none.
    """
    rules = []
    for text in texts:
        name, equals, rule = (part.strip() for part in text.partition("="))
        where = f"{flag} {text}"
        if not equals or not rule:
            problems.add(where, "NAME=RULE is needed.")
        elif flag == "--mask" and name not in MASKS:
            problems.add(where, f"unknown mask '{name}'; {nearest(name, MASKS)}.")
        elif not is_plain_name(name) or set("[]{}") & set(name):
            problems.add(where, f"a plain name is needed, without / or brackets, but got '{name}'.")
        elif _law(rule, bids, where, problems):
            rules.append(Rule(name, rule))
    return tuple(rules)


def _law(rule: str, bids: bool, where: str, problems: Problems) -> bool:
    if not bids:
        return True
    try:
        parse_filters(rule)
    except ValueError as error:
        problems.add(
            where, f"entities are needed, such as suffix:T1w,ceagent:gd, but got '{error}' in a BIDS dataset."
        )
        return False
    return True
