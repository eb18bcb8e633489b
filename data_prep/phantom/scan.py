"""From tissues and the hidden field to the images a scanner stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from data_prep.arrays import BoolArray, DoubleArray, FloatArray
from data_prep.phantom.contrast import contrast_images
from data_prep.phantom.fields import GaussianField, draw_field
from data_prep.phantom.head import Head, draw_pose, make_head
from data_prep.phantom.hidden import (
    Hidden,
    draw_eta,
    draw_grain,
    draw_log_level,
    draw_misplacement,
    draw_move,
    draw_offset,
)
from data_prep.phantom.lattice import Lattice, lattice_of
from data_prep.phantom.plan import Plan
from data_prep.phantom.scanners import LEVEL
from data_prep.phantom.spec import SEQUENCES, PhantomSpec
from data_prep.phantom.streams import stream
from data_prep.phantom.texture import AMPLITUDE
from data_prep.phantom.tumour import Tumour, draw_shape, make_tumour

_BIAS_SD: Final = 0.15
_BIAS_LENGTH: Final = 0.4  # of the grid's edge
_REMOTE_NOISE: Final = 0.6  # sd of eta far from the tumour


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

    def on(self, lattice: Lattice, shift: DoubleArray, sequences: Iterable[int]) -> Tissue:
        """What a grid sees of it in images of these sequences, displaced by `shift` = (x, y, z) mm."""
        inside, reach = (lattice.sample(part, shift) for part in (self.inside, self.tumour.reach))
        return Tissue(
            inside, reach, {index: lattice.sample(self.images[index], shift) for index in sequences}
        )

    def masks(self, lattice: Lattice) -> tuple[BoolArray, BoolArray]:
        """Brain and tumour on a grid: the voxels of which they fill more than half."""
        tumour = np.asarray(self.tumour.mask, np.float32)
        return lattice.sample(self.head.brain) > 0.5, lattice.sample(tumour) > 0.5


@dataclass(frozen=True)
class Tissue:
    """What a grid sees of an anatomy, arrays of its shape.

    Attributes:
        inside: How much of each voxel is not air.
        reach: As of `Tumour`.
        images: A of some sequences, by their index.
    """

    inside: FloatArray
    reach: FloatArray
    images: Mapping[int, FloatArray]


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
    """One visit of a participant to a scanner, as one grid sees it; arrays of that grid's shape.

    Attributes:
        plan: The plan of the phantom.
        participant: Index from 0.
        session: Index from 0.
        lattice: The grid.
        tissue: What the grid sees of the anatomy.
        fields: The hidden fields.
        bias: The slow drift of intensity that all images of the visit share.
    """

    plan: Plan
    participant: int
    session: int
    lattice: Lattice
    tissue: Tissue
    fields: tuple[FloatArray, ...]
    bias: FloatArray

    @property
    def driver(self) -> FloatArray:
        """What expression follows: the product of the fields."""
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
            Intensities in units of the image noise.
        """
        spec, key = self.plan.spec, (self.participant, self.session, sequence)
        scanner = self.plan.scanners[self.plan.scanner[self.participant, self.session]]
        textured = spec.kind == "texture" and sequence in spec.carriers
        level = draw_offset(self.plan, *key) + LEVEL * scanner.half
        image = self._signal(sequence) + np.float32(level)
        image *= self.tissue.reach
        if not textured:
            image += self._eta(sequence)
        image += self.tissue.images[sequence] + self.bias
        white = stream(spec.seed, "nugget", *key).standard_normal(image.shape, dtype=np.float32)
        image += np.float32(spec.model.nugget**0.5) * white
        seen = self.tissue.inside * np.float32(scanner.gain[sequence])
        image *= seen
        if scanner.blur:
            image = ndimage.gaussian_filter(image, scanner.blur / np.array(self.lattice.edges))
        return np.asarray(image + seen * self._texture(sequence) if textured else image, np.float32)

    def _signal(self, sequence: int) -> FloatArray:
        """What the fields add to the signal."""
        parts = zip(self.plan.weights[sequence], self.fields, strict=True)
        return np.asarray(sum(np.float32(weight) * z for weight, z in parts), np.float32)

    def _eta(self, sequence: int) -> FloatArray:
        reach, field = self.tissue.reach, draw_eta(self.plan, self.participant, self.session, sequence)
        eta = field.at(*self.lattice.axes, box=self.lattice.box)
        return np.asarray((_REMOTE_NOISE + (1 - _REMOTE_NOISE) * reach.clip(0)) * eta, np.float32)

    def _texture(self, sequence: int) -> FloatArray:
        """White noise of amplitude `exp(a z + n)`.

        The log-amplitude, as the signal of other kinds, is 0 on the average of the brain: the deviation that
        a z-score divides by does not follow it.
        """
        key = (self.participant, self.session)
        log = np.float32(AMPLITUDE) * self.driver + np.float32(draw_log_level(self.plan, *key))
        grain = draw_grain(self.plan, *key, sequence)
        # In double precision: processors differ in the last digit of single exponentials.
        amplitude = np.exp(self.tissue.reach * log, dtype=np.float64)
        return np.asarray(amplitude.astype(np.float32) * grain, np.float32)


@dataclass(frozen=True)
class Visit:
    """One visit of a participant to a scanner, before any image.

    Attributes:
        plan: The plan of the phantom.
        hidden: The participant's fields.
        participant: Index from 0.
        session: Index from 0.
        anatomy: On 1 mm points.
        drift: Of intensity, slow, shared by all images; of unit variance.
    """

    plan: Plan
    hidden: Hidden
    participant: int
    session: int
    anatomy: Anatomy
    drift: GaussianField

    def scan(self, sequence: int | None = None) -> Scan:
        """The visit as the grid of a sequence sees it, displaced by its error; without one, as masks are."""
        if sequence is None:
            return self._scan(lattice_of(self.plan.spec), np.zeros(3), range(len(SEQUENCES)))
        lattice = lattice_of(self.plan.spec, SEQUENCES[sequence])
        off = draw_misplacement(self.plan, self.participant, self.session, sequence)
        return self._scan(lattice, off, [sequence])

    def _scan(self, lattice: Lattice, off: DoubleArray, sequences: Iterable[int]) -> Scan:
        moves = off + draw_move(self.plan.spec, self.participant, self.session)
        x, y, z = (axis - move for axis, move in zip(lattice.axes, moves, strict=True))
        return Scan(
            plan=self.plan,
            participant=self.participant,
            session=self.session,
            lattice=lattice,
            tissue=self.anatomy.on(lattice, off, sequences),
            fields=tuple(field.at(x, y, z, box=lattice.box) for field in self.hidden.fields),
            bias=np.float32(_BIAS_SD) * self.drift.at(*lattice.axes, box=lattice.box),
        )

    def image(self, sequence: int) -> FloatArray:
        """The image of a sequence without the offset B; see `Scan.image`."""
        return self.scan(sequence).image(sequence)


def visit(plan: Plan, hidden: Hidden, participant: int, session: int) -> Visit:
    """Bring a participant to the scanner; at the second session the head lies 0.5 mm from where it lay."""
    spec, key = plan.spec, (participant, session)
    anatomy = make_anatomy(spec, participant, draw_move(spec, *key))
    drift = draw_field(spec.size, _BIAS_LENGTH * spec.size, stream(spec.seed, "bias", *key))
    return Visit(plan, hidden, participant, session, anatomy, drift)
