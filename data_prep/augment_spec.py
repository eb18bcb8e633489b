"""What training varies: settings as plain data, the room they need, and which of them would do nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from data_prep.problems import Problems, nearest

ROTATIONS = ("none", "quarter", "free")

# Shifts of the centre end here, so that patches need room for no more.
SHIFT_LIMIT_SD = 2.0

# What happens to fewer samples than this, or moves no voxel by as much, is no augmentation.
_LEAST_SHARE = 0.01
_LEAST_MOVE = 0.5
_FLOAT32_RESOLUTION = 2.0**-23

# Beyond these a patch is no neighbourhood of its biopsy any more, or no image.
_MOST = {"jitter_mm": 20.0, "intensity_scale": 2.0, "intensity_shift": 10.0}


@dataclass(frozen=True)
class AugmentSpec:
    """What is drawn anew for each biopsy of the training fold in each epoch.

    Attributes:
        flip: Whether each in-plane axis is mirrored in half of the draws.
        rotation: "none", "quarter" (0, 90, 180 or 270 degrees) or "free" (any angle, interpolated).
        rotation_degrees: Free rotations are uniform within plus or minus this, above 0 to 180.
        jitter_mm: Standard deviation along each in-plane axis of the shift of the patch's centre, in mm: the
            registration error. Shifts are rounded to voxels and cut at 2 standard deviations, rounded up to
            whole voxels.
        intensity_scale: Standard deviation of the log gain of each sequence.
        intensity_shift: Standard deviation of what is added to each sequence, in normalised units.
        channel_dropout: Probability, below 1, that a sequence is shown as absent; one is always left.

    Raises:
        InputError: Every setting outside its range.
    """

    flip: bool = False
    rotation: str = "none"
    rotation_degrees: float = 180.0
    jitter_mm: float = 0.0
    intensity_scale: float = 0.0
    intensity_shift: float = 0.0
    channel_dropout: float = 0.0

    def __post_init__(self) -> None:
        problems = Problems()
        if self.rotation not in ROTATIONS:
            problems.add("rotation", f"unknown name '{self.rotation}'; {nearest(self.rotation, ROTATIONS)}.")
        if not 0 < self.rotation_degrees <= 180:
            problems.add(
                "rotation_degrees",
                f"a number above 0 and up to 180 is needed, but got {self.rotation_degrees}.",
            )
        for name, most in _MOST.items():
            if not 0 <= (value := getattr(self, name)) <= most:
                problems.add(name, f"a number from 0 to {most:g} is needed, but got {value}.")
        if not 0 <= self.channel_dropout < 1:
            problems.add(
                "channel_dropout", f"a number from 0 to below 1 is needed, but got {self.channel_dropout}."
            )
        problems.raise_any()

    @property
    def is_none(self) -> bool:
        """Whether patches stay as they are."""
        sizes = (self.jitter_mm, self.intensity_scale, self.intensity_shift, self.channel_dropout)
        return not self.flip and self.rotation == "none" and not any(sizes)

    @property
    def largest_angle(self) -> float:
        """Of a free rotation, in degrees; 0 where there is none."""
        return self.rotation_degrees if self.rotation == "free" else 0.0

    def largest_shift(self, voxel_mm: float) -> int:
        """Voxels by which the centre moves at most along an axis whose voxels have this edge."""
        return math.ceil(SHIFT_LIMIT_SD * self.jitter_mm / voxel_mm)


def margin(spec: AugmentSpec, radius: int, voxel_mm: float) -> int:
    """Voxels that a patch needs on each side beyond its radius; it grows with the radius.

    Args:
        spec: The settings.
        radius: Of the patch that the network sees.
        voxel_mm: Smallest in-plane edge of a voxel in the cohort.

    >>> margin(AugmentSpec(flip=True, rotation="quarter", jitter_mm=2.5), 8, 1.0)
    5
    >>> margin(AugmentSpec(rotation="free"), 8, 1.0)
    4
    """
    # The corner of a square turned by an angle reaches r (cos + sin) along an axis, at most at 45 degrees.
    angle = math.radians(min(spec.largest_angle, 45.0))
    reach = math.ceil(radius * (math.cos(angle) + math.sin(angle)) - 1e-9)
    return reach - radius + spec.largest_shift(voxel_mm)


def nothing_done(spec: AugmentSpec, radius: int, voxel_mm: float, sequences: int) -> tuple[str, ...]:
    """The settings that are on and yet would leave (nearly) every patch as it is, a line each.

    Args:
        spec: The settings.
        radius: Of the patch that the network sees.
        voxel_mm: Smallest in-plane edge of a voxel in the cohort.
        sequences: How many the network sees.

    Returns:
        Lines that begin with the setting's name.
    """
    lines = [f"{name}: {what}" for name in ("flip", "rotation") for what in _still(spec, name, radius)]
    if spec.rotation != "free" and spec.rotation_degrees != AugmentSpec.rotation_degrees:
        lines.append(
            f"rotation_degrees: only rotation 'free' has an angle, but got {spec.rotation_degrees:g} with "
            f"'{spec.rotation}'."
        )
    share = _share_shifted(spec.jitter_mm, voxel_mm)
    if spec.jitter_mm > 0 and share < _LEAST_SHARE:
        lines.append(
            f"jitter_mm: at least {_LEAST_SHARE:.0%} of the centres must move to another voxel, but "
            f"{spec.jitter_mm:g} mm on voxels of {voxel_mm:g} mm moves {share:.2g} of them."
        )
    for name in ("intensity_scale", "intensity_shift"):
        if 0 < getattr(spec, name) < _FLOAT32_RESOLUTION:
            lines.append(
                f"{name}: at least float32's resolution of {_FLOAT32_RESOLUTION:.2g} is needed, but got "
                f"{getattr(spec, name):g}."
            )
    return (*lines, *_dropout_does_nothing(spec.channel_dropout, sequences))


def _still(spec: AugmentSpec, name: str, radius: int) -> list[str]:
    """Why a flip or rotation moves nothing, if so."""
    if radius == 0 and (spec.flip if name == "flip" else spec.rotation != "none"):
        return ["a patch of one voxel looks the same from all sides. Use a radius above 0."]
    # A point at distance d moves by the chord 2 d sin(angle / 2).
    move = 2 * math.sqrt(2) * radius * math.sin(math.radians(spec.largest_angle) / 2)
    if name == "rotation" and spec.rotation == "free" and move < _LEAST_MOVE:
        return [
            f"the corners must move by at least {_LEAST_MOVE:g} voxels, but {spec.rotation_degrees:g} "
            f"degrees at radius {radius} move them by {move:.2g}."
        ]
    return []


def _share_shifted(jitter_mm: float, voxel_mm: float) -> float:
    """Probability that a shift is not rounded to 0 along both axes."""
    if jitter_mm == 0:
        return 0.0
    return 1 - math.erf(0.5 * voxel_mm / (math.sqrt(2) * jitter_mm)) ** 2


def _dropout_does_nothing(probability: float, sequences: int) -> list[str]:
    if probability == 0:
        return []
    if sequences == 1:
        return ["channel_dropout: one sequence is always left, so at least 2 are needed, but got 1."]
    share = 1 - (1 - probability) ** sequences
    if share >= _LEAST_SHARE:
        return []
    return [
        f"channel_dropout: at least {_LEAST_SHARE:.0%} of the patches must lose a sequence, but "
        f"{probability:g} with {sequences} sequences takes one from {share:.2g} of them."
    ]
