"""What is hidden in a participant's images, and what hides it: noise and the participant's own level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.phantom.fields import GaussianField, draw_field
from data_prep.phantom.lattice import lattice_of
from data_prep.phantom.plan import Plan
from data_prep.phantom.spec import REFERENCE, SEQUENCES, PhantomSpec
from data_prep.phantom.streams import stream
from data_prep.phantom.texture import LEVEL_SDS

_MOVE: Final = 0.5  # mm between the two scans of a repeat
_STREAMS: Final = {"field": ("field", "field_b"), "null": ("null", "null_b")}


@dataclass(frozen=True)
class Field:
    """One field z of one participant: a level of their own and what varies in space.

    Attributes:
        level: u, with variance tau2.
        field: F, of unit variance.
        tau2: See `FieldModel`.
    """

    level: float
    field: GaussianField
    tau2: float

    def at(
        self, x: npt.ArrayLike, y: npt.ArrayLike, z: npt.ArrayLike, *, box: Sequence[float] = (0.0, 0.0, 0.0)
    ) -> FloatArray:
        """Values on the grid of three axes in mm, each the mean over a box; (len(x), len(y), len(z))."""
        spread = np.float32((1 - self.tau2) ** 0.5)
        return np.asarray(self.level + spread * self.field.at(x, y, z, box=box), np.float32)


@dataclass(frozen=True)
class Hidden:
    """What drives the expression of one participant: the product of their fields, one or two.

    Attributes:
        fields: Independent fields, `PhantomSpec.fields` of them.
    """

    fields: tuple[Field, ...]

    def at(
        self, x: npt.ArrayLike, y: npt.ArrayLike, z: npt.ArrayLike, *, box: Sequence[float] = (0.0, 0.0, 0.0)
    ) -> FloatArray:
        """The product of the fields on the grid of three axes in mm, each the mean over a box."""
        return np.asarray(np.prod([field.at(x, y, z, box=box) for field in self.fields], axis=0), np.float32)


def draw_hidden(plan: Plan, participant: int, name: str = "field") -> Hidden:
    """Draw the fields of a participant; "null" names other ones, which no image shows."""
    streams = _STREAMS[name][: plan.spec.fields]
    return Hidden(tuple(_draw_field(plan, participant, stream_name) for stream_name in streams))


def _draw_field(plan: Plan, participant: int, name: str) -> Field:
    spec, model = plan.spec, plan.spec.model
    rng = stream(spec.seed, name, participant)
    level = float(model.tau2**0.5 * rng.standard_normal())
    return Field(level, draw_field(spec.size, model.length, rng), model.tau2)


def draw_eta(plan: Plan, participant: int, session: int, sequence: int) -> GaussianField:
    """Draw the noise of one image."""
    rng = stream(plan.spec.seed, "eta", participant, session, sequence)
    return draw_field(plan.spec.size, plan.spec.model.noise_length, rng)


def draw_offset(plan: Plan, participant: int, session: int, sequence: int) -> float:
    """Draw o, the level that a participant's images of one sequence from one scanner share."""
    scanner = int(plan.scanner[participant, session])
    rng = stream(plan.spec.seed, "offset", participant, scanner, sequence)
    return float(plan.spec.model.offset_variance**0.5 * rng.standard_normal())


def draw_grain(plan: Plan, participant: int, session: int, sequence: int) -> FloatArray:
    """Draw the white noise of one image of a texture before its amplitude, of the grid's shape."""
    rng = stream(plan.spec.seed, "grain", participant, session, sequence)
    return rng.standard_normal(lattice_of(plan.spec).shape, dtype=np.float32)


def draw_log_level(plan: Plan, participant: int, session: int) -> float:
    """Draw n, the level of the log-amplitude that a participant's images from one scanner share."""
    rng = stream(plan.spec.seed, "level", participant, int(plan.scanner[participant, session]))
    return float(LEVEL_SDS[plan.spec.signal] * rng.standard_normal())


def draw_move(spec: PhantomSpec, participant: int, session: int) -> DoubleArray:
    """Draw how far (x, y, z) a session's head lies from where it lay at the first, in mm."""
    if not session:
        return np.zeros(3)
    direction = stream(spec.seed, "shift", participant).standard_normal(3)
    return np.asarray(_MOVE * direction / np.linalg.norm(direction))


def draw_misplacement(plan: Plan, participant: int, session: int, sequence: int) -> DoubleArray:
    """Draw how far (x, y, z) a sequence lies from where it should, in mm."""
    error = plan.spec.registration_error
    if not error or SEQUENCES[sequence] == REFERENCE:
        return np.zeros(3)
    x, y = error * stream(plan.spec.seed, "registration", participant, session, sequence).standard_normal(2)
    return np.array([x, y, 0.0])
