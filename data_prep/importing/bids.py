"""Images of a BIDS dataset and its derivatives, by the entities that pybids reads from their names.

The names alone are read, relative to the dataset: an index (`BIDSLayout`) would match folders above it,
follow links out of it, take rules from files in it, and skip derivatives without a description.

References:
    Brain Imaging Data Structure; K. J. Gorgolewski et al., Scientific Data 3 (2016) 160044.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from data_prep.importing.records import Catalogue, Found, ImportOptions, LeftOut
from data_prep.importing.rules import (
    DEFAULT_MASKS,
    DEFAULTS,
    Rule,
    check_entities,
    fits,
    parse_filters,
    read_rules,
)
from data_prep.importing.singles import keep_one_each
from data_prep.importing.spaces import own_spaces
from data_prep.importing.walking import DESCRIPTION, Walk
from data_prep.problems import Problems

_NAME = re.compile(r"sub-[A-Za-z0-9+]+(_[A-Za-z0-9]+-[A-Za-z0-9+]+)*_[A-Za-z0-9]+\.nii(\.gz)?")

# Entities of derivatives that pybids does not know yet.
_FURTHER: Final = ({"name": "param", "pattern": r"[_/\\]+param-([a-zA-Z0-9+]+)"},)


def is_bids(source: Path, images: Sequence[str]) -> bool:
    """Whether a folder is named as BIDS has it: by its description, or else by the names of its images."""
    if (source / DESCRIPTION).is_file():
        return True
    return all(_NAME.fullmatch(label.rsplit("/", 1)[-1]) for label in images)


def read_bids(options: ImportOptions, found: Walk, problems: Problems) -> Catalogue:
    """Find the images of each participant, session and sequence.

    Args:
        options: What was asked for.
        found: The images of the source.
        problems: Receives rules that are none, and files that match one sequence twice.
    """
    rules = read_rules("--sequence", options.sequences, True, problems) or DEFAULTS
    masks = read_rules("--mask", options.masks, True, problems) or DEFAULT_MASKS
    only = _only(options.only, problems)
    _check(rules, masks, only, problems)
    fitting, left_out = [], list(found.left_out)
    for image in parse(options.source, found.images):
        rule, why = _rule_of(image, (*rules, *masks))
        if rule is None:
            left_out.append(LeftOut(image.label, why))
        else:
            fitting.append(_Fit(image, rule, rule in masks))
    chosen, notes = _versions(fitting, only, [rule.name for rule in rules], left_out, problems)
    order = tuple(dict.fromkeys(rule.name for rule in rules))
    hint = "Say which with --only ENTITY:VALUE, or with --sequence NAME=ENTITY:VALUE,..."
    kept = keep_one_each([fit.found() for fit in chosen], hint, problems)
    asked = (*(rules if options.sequences else ()), *(masks if options.masks else ()))
    warnings = (*_unmet(fitting, only, asked), *_emptied(fitting, chosen, left_out))
    return Catalogue(kept, order, ("BIDS",), False, tuple(left_out), tuple(notes), warnings)


@dataclass(frozen=True)
class Image:
    """An image and its entities, as pybids calls them."""

    path: Path
    label: str
    entities: Mapping[str, str]


@dataclass(frozen=True)
class _Fit:
    """An image and the rule that it fits."""

    image: Image
    rule: Rule
    mask: bool

    @property
    def key(self) -> tuple[str, bool]:
        """The sequence or mask."""
        return self.rule.name, self.mask

    @property
    def entities(self) -> Mapping[str, str]:
        """Of the image."""
        return self.image.entities

    @property
    def space(self) -> str | None:
        """The image's space as far as its rule leaves it open."""
        return None if "space" in self.rule.filters() else self.entities.get("space")

    def found(self) -> Found:
        """The image as part of a cohort."""
        session = self.entities.get("session")
        return Found(
            self.image.path,
            self.image.label,
            f"sub-{self.entities['subject']}",
            None if session is None else f"ses-{session}",
            self.rule.name,
            self.mask,
        )


def _config() -> list[Any]:
    from bids.layout import Config

    return [Config.load("bids"), Config.load("derivatives"), Config("radsearch", list(_FURTHER))]


def parse(source: Path, labels: Iterable[str]) -> list[Image]:
    """Read the entities of images from their paths in the dataset."""
    from bids.layout import parse_file_entities

    config = _config()
    images = []
    for label in labels:
        entities = parse_file_entities(f"/{label}", config=config)
        texts = {name: str(value) for name, value in entities.items() if value is not None}
        images.append(Image(source / label, label, texts))
    return images


def _only(text: str | None, problems: Problems) -> dict[str, tuple[str, ...]]:
    try:
        return parse_filters(text) if text else {}
    except ValueError as error:
        problems.add("--only", f"entities are needed, such as space:T1Gd,run:1, but got '{error}'.")
        return {}


def _check(
    rules: Iterable[Rule], masks: Iterable[Rule], only: Mapping[str, tuple[str, ...]], problems: Problems
) -> None:
    """Note entities that no name can have."""
    known = {name for config in _config() for name in config.entities}
    for flag, own in (("--sequence", rules), ("--mask", masks)):
        for rule in own:
            check_entities(f"{flag} {rule.name}={rule.text}", rule.filters(), known, problems)
    check_entities("--only", only, known, problems)


def _rule_of(image: Image, rules: Iterable[Rule]) -> tuple[Rule | None, str]:
    """The first rule that an image fits, or why there is none."""
    if "subject" not in image.entities:
        return None, "no sub- in its name"
    return next((rule for rule in rules if fits(image.entities, rule.filters())), None), "no rule for it"


def _versions(
    fitting: Sequence[_Fit],
    only: Mapping[str, tuple[str, ...]],
    sequences: Sequence[str],
    left_out: list[LeftOut],
    problems: Problems,
) -> tuple[list[_Fit], list[str]]:
    """Of a sequence that is there in versions, keep the one asked for; by default the images' own space."""
    spaces = sorted({fit.space for fit in fitting if fit.space is not None})
    wanted = (
        [s for s in spaces if fits({"space": s}, {"space": only["space"]})]
        if "space" in only
        else own_spaces(spaces, sequences)
    )
    if len(wanted) > 1:
        problems.add(
            "--only", f"one space is needed, but images are in {', '.join(wanted)}. Say --only space:NAME."
        )
    kept = []
    for fit in fitting:
        why = _why_not(fit, only, wanted)
        if why is None:
            kept.append(fit)
        else:
            left_out.append(LeftOut(fit.image.label, why))
    moved = sorted({fit.rule.name for fit in kept if fit.space is not None})
    for entity in dict.fromkeys(("space", *only)):
        kept = _with(kept, entity, left_out)
    return kept, [f"{', '.join(moved)}: taken from space {', '.join(wanted)}"] if moved else []


def _why_not(fit: _Fit, only: Mapping[str, tuple[str, ...]], wanted: Sequence[str]) -> str | None:
    """Why an image is no version that is wanted."""
    # What lacks the entity may be the only version; what the rule itself asks for is settled.
    settled = fit.rule.filters()
    named = {name: v for name, v in only.items() if name in fit.entities and name not in settled}
    if fit.space is not None and fit.space not in wanted and "space" not in only:
        return (
            f"space {fit.space} is not known to be the participant's own (--only space:{fit.space} takes it)"
        )
    return None if fits(fit.entities, named) else "not what --only asks for"


def _with(fitting: Sequence[_Fit], entity: str, left_out: list[LeftOut]) -> list[_Fit]:
    """Of each sequence and mask the images that have an entity, where one has it."""
    named = {fit.key for fit in fitting if entity in fit.entities}
    kept = []
    for fit in fitting:
        if fit.key in named and entity not in fit.entities:
            name = fit.rule.name
            left_out.append(LeftOut(fit.image.label, f"{name} is taken where a name has {entity}-"))
        else:
            kept.append(fit)
    return kept


def _unmet(
    fitting: Sequence[_Fit], only: Mapping[str, tuple[str, ...]], asked: Iterable[Rule]
) -> Iterable[str]:
    """What was asked for and is there nowhere."""
    names = {fit.rule.name for fit in fitting}
    for name in dict.fromkeys(rule.name for rule in asked):
        if name not in names:
            yield f"{name}: no image fits its rule. Is it right?"
    for entity, values in only.items():
        if not any(entity in fit.entities and fits(fit.entities, {entity: values}) for fit in fitting):
            yield f"--only {entity}:{'|'.join(values)}: no image has that. Is it right?"


def _emptied(fitting: Sequence[_Fit], chosen: Iterable[_Fit], left_out: Iterable[LeftOut]) -> Iterable[str]:
    """Sequences and masks of which no version is left."""
    whys = {left.what: left.why for left in left_out}
    kept = {fit.key for fit in chosen}
    for key in dict.fromkeys(fit.key for fit in fitting):
        if key not in kept:
            label = next(fit.image.label for fit in fitting if fit.key == key)
            yield f"{key[0]}: all its images are left out, such as {label}: {whys[label]}"
