"""The maps of several participants, one after the other; those of an earlier call stay."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_prep.problems import InputError, named, one_line
from search.home import Home
from search.maps.asking import Asked, Asking, Predictors, look
from search.maps.kept import kept_maps
from search.maps.making import Made, Telling, check_free, make_maps
from search.maps.overall import over_all
from search.maps.publishing import publish
from search.terminal import counting

LONG = 30.0  # seconds that are worth a line before they have passed


@dataclass(frozen=True)
class Order:
    """Whose maps go where.

    Attributes:
        wanted: Participants.
        out: The folder of all maps.
        tracking: The home and MLflow's address, if any, to log to; None to log nothing.
        overall: Whether all of a cohort are wanted: somebody who fails is left out, and maps that an earlier
            call drew in the same way stay; else both are refused.
    """

    wanted: tuple[str, ...]
    out: Path
    tracking: tuple[Home, str | None] | None = None
    overall: bool = False


@dataclass(frozen=True)
class Several:
    """What came of it.

    Attributes:
        made: The maps by participant, those from before as well; without their scenes.
        failed: By participant, why there is no map.
    """

    made: list[Made]
    failed: dict[str, tuple[str, ...]] = field(default_factory=dict)


def draw_several(asking: Asking, order: Order) -> Several:
    """Draw the maps that are not there yet.

    Raises:
        InputError: Maps are there that were drawn in another way; or the one participant's images are at
            fault.
    """
    kept = _kept(asking, order) if order.overall else []
    there = {one.participant for one in kept}
    wanted = tuple(who for who in order.wanted if who not in there)
    check_free(order.out, wanted)
    with counting("looking at images: participant") as progress:
        asked = look(asking, wanted, progress)
    _warn(asking, asked)
    if not order.overall and asked.failed:
        raise InputError(asked.failed[wanted[0]])
    found = Several([*kept], dict(asked.failed))
    _make(asking, asked, order, found)
    found.made.sort(key=lambda one: order.wanted.index(one.participant))
    return found


def _kept(asking: Asking, order: Order) -> list[Made]:
    with counting("looking at maps from before: participant") as progress:
        kept = kept_maps(asking, order.wanted, order.out, progress)
    if kept:
        _tell(f"kept {len(kept)} {'map' if len(kept) == 1 else 'maps'} from before")
    return kept


def _warn(asking: Asking, asked: Asked) -> None:
    """What is known before the work and must be borne in mind."""
    if asking.out_of_fold:
        new = [who for who, fold in asked.folds.items() if fold is None]
        if new:
            _tell(f"not in the training set, so that all members answer: {named(new)}")
    elif asked.seen:
        advice = "--out-of-fold asks only models that never saw them"
        if not asking.model.folds:
            advice = "refit without --skip-folds, then use --out-of-fold"
        _tell(
            f"warning: the model learned from {named(asked.seen)}: their maps are better than any other's; "
            f"{advice}"
        )


def _make(asking: Asking, asked: Asked, order: Order, found: Several) -> None:
    """Draw; who fails is left out, and noted if others are asked for."""
    people, predictors, tracking = asked.in_order(asking.out_of_fold), Predictors(asking), order.tracking
    with over_all(len(people)) if order.overall else nullcontext() as begin:
        for number, who in enumerate(people):
            with counting("drawing: voxel") if begin is None else nullcontext(begin(number, who)) as progress:
                try:
                    telling, fold = Telling(progress, _forecast(number)), asked.folds[who]
                    one = make_maps(asking, predictors.of(fold), who, fold, order.out, telling)
                except InputError as error:
                    if not order.overall:
                        raise
                    found.failed[who] = error.problems
                    continue
            if tracking is not None and publish(one, asking.model, asking.cohort, *tracking) is None:
                tracking = None  # which was said; to try again with each map would take its time each time
                _tell_rest(people[number + 1 :])
            found.made.append(replace(one, scenes=()))  # those of a whole cohort may be too much for memory


def _tell_rest(people: Sequence[str]) -> None:
    if people:
        count = "that after it is" if len(people) == 1 else f"the {len(people)} after it are"
        _tell(f"{count} not logged either")


def _forecast(number: int) -> Callable[[float], None] | None:
    """Says how long the first map will take, where that is long."""

    def tell(seconds: float) -> None:
        if seconds >= LONG:
            _tell(
                f"this map will take about {seconds / 60:.1f} more minutes; --stride 2 takes an eighth of it"
            )

    return tell if number == 0 else None


def _tell(line: str) -> None:
    sys.stderr.write(one_line(line) + "\n")
