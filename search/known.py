"""The parameters that a search space can have: their types, limits, defaults, and where they apply."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from data_prep.augment_spec import ROTATIONS
from models.registry import OPTIMIZERS
from models.spec import SCHEDULES, SELECTIONS, STAGES, STEMS
from search.catalogue import Catalogue
from search.domains import Value

HEAD = r"none|[1-9]\d*(-[1-9]\d*)*"


@dataclass(frozen=True)
class Known:
    """What a parameter of the space may be.

    Attributes:
        kind: The type of its values.
        default: What a trial uses where the space does not name the parameter; None for the architecture's
            own.
        names: The legal names, where they are known.
        pattern: A regular expression that names match, where they are not; `law` says it in words.
        low: Smallest legal number, itself legal unless `open_low`.
        high: Every legal number lies below it.
        trait: What an architecture needs for the parameter to apply (`search.catalogue.TRAITS`).
        applies: Where the parameter means anything besides, as in `when`.
    """

    kind: type
    default: Value | None
    names: tuple[Value, ...] = ()
    pattern: str = ""
    law: str = ""
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    trait: str | None = None
    applies: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)


def _share(default: float, trait: str) -> Known:
    return Known(float, default, low=0.0, high=1.0, trait=trait)


def _positive(default: float, trait: str, **more: Mapping[str, tuple[Value, ...]]) -> Known:
    return Known(float, default, low=0.0, open_low=True, trait=trait, applies=more.get("applies", {}))


def _strength(trait: str = "network") -> Known:
    return Known(float, 0.0, low=0.0, trait=trait)


_SGD: Mapping[str, tuple[Value, ...]] = {"optimizer": ("sgd",)}
_PLATEAU: Mapping[str, tuple[Value, ...]] = {"schedule": ("plateau",)}
_TUNED: Mapping[str, tuple[Value, ...]] = {"trainable_stages": tuple(range(1, STAGES + 1))}

# Each after those that its condition names. Zero, "none" and false switch off what they belong to.
KNOWN: dict[str, Known] = {
    "architecture": Known(str, "resnet50"),
    "stem": Known(str, "paper", names=STEMS, trait="deep"),
    "resize_to": Known(int, 64, low=8, high=1025, trait="deep", applies={"stem": ("resize",)}),
    "weights": Known(str, "none", trait="deep"),
    "trainable_stages": Known(int, STAGES, low=0, high=STAGES + 1, trait="deep"),
    "transferred_rate": _positive(1.0, "deep", applies=_TUNED),
    "head": Known(str, None, pattern=HEAD, law='widths such as "256-128", or "none"', trait="head"),
    "dropout": _share(0.0, "head"),
    "optimizer": Known(str, "adam", names=OPTIMIZERS, trait="network"),
    "learning_rate": _positive(1e-3, "network"),
    "momentum": Known(float, 0.9, low=0.0, high=1.0, trait="network", applies=_SGD),
    "nesterov": Known(bool, False, trait="network", applies=_SGD),
    "weight_decay": _strength(),
    "clip_norm": _strength(),
    "schedule": Known(str, "constant", names=SCHEDULES, trait="network"),
    "plateau_factor": Known(float, 0.5, low=0.0, high=1.0, open_low=True, trait="network", applies=_PLATEAU),
    "plateau_patience": Known(int, 4, low=1, trait="network", applies=_PLATEAU),
    "label_smoothing": _share(0.0, "network"),
    "batch_size": Known(int, 9, low=1, trait="network"),
    "patch_radius": Known(int, 8, low=1, trait="patch"),
    "flip": Known(bool, False, trait="network"),
    "rotation": Known(str, "none", names=ROTATIONS, trait="network"),
    "rotation_degrees": Known(
        float, 180.0, low=0.0, high=180.5, open_low=True, trait="network", applies={"rotation": ("free",)}
    ),
    "jitter": _strength(),
    "intensity_scale": _strength(),
    "intensity_shift": _strength(),
    "channel_dropout": _share(0.0, "network"),
    "regularisation": _positive(1.0, "penalised"),
    "svm_gamma": _positive(1.0, "svm"),
    "forest_trees": Known(int, 300, low=1, trait="forest"),
    "forest_leaf": Known(int, 3, low=1, trait="forest"),
    "selection": Known(str, "none", names=SELECTIONS, trait="texture"),
    "nca_lambda": _positive(1.0, "texture", applies={"selection": ("nca",)}),
}


def resolve(
    catalogue: Catalogue, offered: Iterable[str], weights: Iterable[str], defaults: Mapping[str, Value]
) -> dict[str, Known]:
    """The table for one study.

    Args:
        catalogue: The architectures it can name.
        offered: Those that its space offers.
        weights: The weights that its space offers.
        defaults: Its own in place of some of the table's.

    Returns:
        `KNOWN`, each condition spelt out in the architectures offered that the parameter applies to; a
        condition that all of them meet is left out, one that none meets has no values.
    """
    offered, table = tuple(offered), {}
    for name, known in KNOWN.items():
        applies = dict(known.applies)
        if name == "trainable_stages":
            applies["weights"] = tuple(weight for weight in weights if weight != "none")
        fitting = tuple(a for a in offered if known.trait is None or known.trait in catalogue.traits(a))
        if len(fitting) < len(offered):
            applies = {"architecture": fitting} | applies
        table[name] = replace(known, applies=applies, default=defaults.get(name, known.default))
    table["architecture"] = replace(table["architecture"], names=catalogue.names)
    return table
