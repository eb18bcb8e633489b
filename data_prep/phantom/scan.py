"""From tissues and the hidden field to the images a scanner stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.phantom.contrast import contrast_images
from data_prep.phantom.fields import draw_field
from data_prep.phantom.head import Head, draw_pose, make_head
from data_prep.phantom.hidden import Hidden, draw_eta, draw_grain, draw_log_level, draw_offset
from data_prep.phantom.plan import Plan
from data_prep.phantom.spec import PhantomSpec
from data_prep.phantom.streams import stream
from data_prep.phantom.texture import AMPLITUDE
from data_prep.phantom.tumour import Tumour, draw_shape, make_tumour

_BIAS_SD: Final = 0.15
_BIAS_LENGTH: Final = 0.4  # of the grid's edge
_REMOTE_NOISE: Final = 0.6  # sd of eta far from the tumour
_SHIFT: Final = 0.5  # mm between the two scans of a repeat


@dataclass(frozen=True)
class Anatomy:
    """The tissue of a participant in one session.

    Attributes:
        head: The head before the tumour grew.
        tumour: The tumour.
        inside: How much of each voxel is not air, shape (n, n, n).
        images: A, noise-free contrast of every sequence, shape (9, n, n, n).
    """

    head: Head
    tumour: Tumour
    inside: FloatArray
    images: FloatArray


def make_anatomy(spec: PhantomSpec, participant: int, shift: DoubleArray) -> Anatomy:
    """Make head and tumour of a participant, displaced by `shift` = (x, y, z) voxels."""
    pose = draw_pose(stream(spec.seed, "head", participant))
    head = make_head(spec.size, pose, np.zeros(3))
    shape = draw_shape(head, stream(spec.seed, "tumour", participant))
    if shift.any():
        head = make_head(spec.size, pose, shift)
    tumour = make_tumour(head, shape, shift)
    spared = 1 - (tumour.core + tumour.rim + tumour.oedema)
    healthy = [tissue * spared for tissue in (head.scalp, head.skull, head.csf, head.gm, head.wm)]
    tissues = np.stack([*healthy, tumour.core, tumour.rim, tumour.oedema]).astype(np.float32)
    return Anatomy(head, tumour, tissues.sum(axis=0), contrast_images(tissues))


@dataclass(frozen=True)
class Scan:
    """One visit of a participant to a scanner.

    Attributes:
        plan: The plan of the phantom.
        participant: Index from 0.
        session: Index from 0.
        anatomy: As the scanner sees it.
        fields: The hidden fields as the scanner sees them, shape (n, n, n) each.
        bias: The slow drift of intensity that all images of the visit share, shape (n, n, n).
    """

    plan: Plan
    participant: int
    session: int
    anatomy: Anatomy
    fields: tuple[FloatArray, ...]
    bias: FloatArray

    @property
    def driver(self) -> FloatArray:
        """What expression follows: the product of the fields, shape (n, n, n)."""
        return np.asarray(np.prod(self.fields, axis=0), np.float32)

    def image(self, sequence: int) -> FloatArray:
        """One image without the offset B: `G (A + w z + eta + o + bias)` in the head, 0 in air.

        The hidden field and the offset o have their full strength in the tumour and change together around it
        (`Tumour.reach`): no remote tissue tells the one from the other, and a z-score over the brain leaves
        both as they are. The noise eta fades less: the field is nowhere easier to see than in the tumour.

        Where a texture shows, white noise stands in for eta, see `_texture`. It is added after the scanner's
        smoothing, which would weaken it on one scanner more than the field does anywhere.

        Args:
            sequence: Index into `SEQUENCES`.

        Returns:
            Intensities in units of the image noise, shape (n, n, n).
        """
        spec, key = self.plan.spec, (self.participant, self.session, sequence)
        scanner = self.plan.scanners[self.plan.scanner[self.participant, self.session]]
        textured = spec.kind == "texture" and sequence in spec.carriers
        image = self._signal(sequence) + np.float32(draw_offset(self.plan, *key))
        image *= self.anatomy.tumour.reach
        if not textured:
            image += self._eta(sequence)
        image += self.anatomy.images[sequence] + self.bias
        white = stream(spec.seed, "nugget", *key).standard_normal(image.shape, dtype=np.float32)
        image += np.float32(spec.model.nugget**0.5) * white
        seen = self.anatomy.inside * np.float32(scanner.gain[sequence])
        image *= seen
        image = ndimage.gaussian_filter(image, scanner.blur) if scanner.blur else image
        return np.asarray(image + seen * self._texture(sequence) if textured else image, np.float32)

    def _signal(self, sequence: int) -> FloatArray:
        """What the fields add to the signal, shape (n, n, n)."""
        parts = zip(self.plan.weights[sequence], self.fields, strict=True)
        return np.asarray(sum(np.float32(weight) * z for weight, z in parts), np.float32)

    def _eta(self, sequence: int) -> FloatArray:
        axis, reach = np.arange(self.plan.spec.size), self.anatomy.tumour.reach
        eta = draw_eta(self.plan, self.participant, self.session, sequence).at(axis, axis, axis)
        return np.asarray((_REMOTE_NOISE + (1 - _REMOTE_NOISE) * reach.clip(0)) * eta, np.float32)

    def _texture(self, sequence: int) -> FloatArray:
        """White noise of amplitude `exp(a z + n)`, shape (n, n, n).

        The log-amplitude, as the signal of other kinds, is 0 on the average of the brain: the deviation that
        a z-score divides by does not follow it.
        """
        key = (self.participant, self.session)
        log = np.float32(AMPLITUDE) * self.driver + np.float32(draw_log_level(self.plan, *key))
        grain = draw_grain(self.plan, *key, sequence)
        # In double precision: processors differ in the last digit of single exponentials.
        amplitude = np.exp(self.anatomy.tumour.reach * log, dtype=np.float64)
        return np.asarray(amplitude.astype(np.float32) * grain, np.float32)


def visit(plan: Plan, hidden: Hidden, participant: int, session: int) -> Scan:
    """Bring a participant to the scanner; at the second session the head lies 0.5 mm from where it lay."""
    spec, shift = plan.spec, np.zeros(3)
    if session:
        direction = stream(spec.seed, "shift", participant).standard_normal(3)
        shift = _SHIFT * direction / np.linalg.norm(direction)
    axis = np.arange(spec.size)
    drift = draw_field(spec.size, _BIAS_LENGTH * spec.size, stream(spec.seed, "bias", participant, session))
    return Scan(
        plan=plan,
        participant=participant,
        session=session,
        anatomy=make_anatomy(spec, participant, shift),
        fields=tuple(field.at(*(axis - move for move in shift)) for field in hidden.fields),
        bias=np.float32(_BIAS_SD) * drift.at(axis, axis, axis),
    )
