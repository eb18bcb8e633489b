"""The hidden field of a participant and what hides it in an image: noise and the participant's own level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.arrays import FloatArray
from data_prep.phantom.fields import GaussianField, draw_field
from data_prep.phantom.plan import Plan
from data_prep.phantom.streams import stream


@dataclass(frozen=True)
class Hidden:
    """The field z of one participant: a level of their own and what varies in space.

    Attributes:
        level: u, with variance tau2.
        field: F, of unit variance.
        tau2: See `FieldModel`.
    """

    level: float
    field: GaussianField
    tau2: float

    def at(self, x: npt.ArrayLike, y: npt.ArrayLike, z: npt.ArrayLike) -> FloatArray:
        """Values on the grid of three axes in mm, shape (len(x), len(y), len(z))."""
        spread = np.float32((1 - self.tau2) ** 0.5)
        return np.asarray(self.level + spread * self.field.at(x, y, z), np.float32)


def draw_hidden(plan: Plan, participant: int, name: str = "field") -> Hidden:
    """Draw the field of a participant; "null" names another one, which no image shows."""
    spec, model = plan.spec, plan.spec.model
    rng = stream(spec.seed, name, participant)
    level = float(model.tau2**0.5 * rng.standard_normal())
    return Hidden(level, draw_field(spec.size, model.length, rng), model.tau2)


def draw_eta(plan: Plan, participant: int, session: int, sequence: int) -> GaussianField:
    """Draw the noise of one image."""
    rng = stream(plan.spec.seed, "eta", participant, session, sequence)
    return draw_field(plan.spec.size, plan.spec.model.noise_length, rng)


def draw_offset(plan: Plan, participant: int, session: int, sequence: int) -> float:
    """Draw o, the level that a participant's images of one sequence from one scanner share."""
    scanner = int(plan.scanner[participant, session])
    rng = stream(plan.spec.seed, "offset", participant, scanner, sequence)
    return float(plan.spec.model.offset_variance**0.5 * rng.standard_normal())
