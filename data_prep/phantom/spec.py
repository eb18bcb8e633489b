"""What a phantom is: the options of `radsearch phantom` and the constants of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from data_prep.problems import Problems, nearest

SEQUENCES: Final = ("FA", "MD", "EPI-C", "FLAIR", "rCBV", "srCBV", "T1", "T1Gd", "T2")

SIGNALS: Final = ("easy", "default", "hard", "none")
"""The legal strengths; with "none" the images are those of "default", but labels follow other fields."""

KINDS: Final = {
    "gaussian": "a field that adds to the signal of five sequences",
    "texture": "a field that sets the amplitude of the noise in five sequences; their means carry nothing",
    "interaction": "two fields, one a sequence, whose product is expressed; linear scores carry nothing",
}
"""The legal kinds, each in words."""

CARRIERS: Final = {
    "gaussian": ("FA", "MD", "EPI-C", "FLAIR", "rCBV"),
    "texture": ("FA", "MD", "EPI-C", "FLAIR", "rCBV"),
    "interaction": ("MD", "rCBV"),
}
"""The sequences that show a field, by kind; anatomy is nearly flat in them inside the tumour."""

MAX_PARTICIPANTS: Final = 10_000
MAX_PER_PARTICIPANT: Final = 8
MIN_SIZE: Final = 24
MAX_SIZE: Final = 256
TPM_CUT: Final = 1.03
"""TPM of CD3D at g = 0: a biopsy is positive above it."""


@dataclass(frozen=True)
class FieldModel:
    """The constants of the hidden field and its noise; lengths in mm, variances in units of the noise.

    Attributes:
        tau2: Share of the field's variance that is one level per participant.
        length: Correlation length l of the field: `exp(-d^2 / 2 l^2)`.
        noise_length: Correlation length of the image noise.
        offset_variance: Variance of the level that each participant and sequence adds.
        kappa2: Share of the expression's variance that the field explains at the true site.
        site_sd: Error of the recorded site, per axis.
        radius: Patch radius in voxels of 1 mm; the patch is one axial slice.
        nugget: Variance of the white noise.
    """

    tau2: float = 0.3
    length: float = 6.0
    noise_length: float = 1.5
    offset_variance: float = 0.25
    kappa2: float = 0.85
    site_sd: float = 2.5
    radius: int = 8
    nugget: float = 1e-4


@dataclass(frozen=True)
class PhantomSpec:
    """One phantom cohort; the same spec always gives the same bytes.

    Attributes:
        participants: Number of participants, 2 to 10,000.
        biopsies: Number of biopsies in total, 1 to 8 each.
        signal: A name of `SIGNALS`.
        kind: A name of `KINDS`.
        size: Edge of the cubic volumes in voxels of 1 mm. The head, its tumour and the least distance between
            sites shrink with a size below 64, the lengths of the fields do not.
        missing: Probability that a participant lacks a sequence.
        repeats: How many participants, from the first, are scanned a second time.
        seed: Any integer from 0.

    Raises:
        InputError: With every value that is out of its range.
    """

    participants: int = 45
    biopsies: int = 150
    signal: str = "default"
    kind: str = "gaussian"
    size: int = 64
    missing: float = 0.1
    repeats: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems()
        self._check_names(problems)
        self._check_numbers(problems)
        problems.raise_any()

    def _check_names(self, problems: Problems) -> None:
        for option, value, known in (("signal", self.signal, SIGNALS), ("kind", self.kind, KINDS)):
            if value not in known:
                problems.add(f"phantom: {option}", f"unknown name {value!r}; {nearest(value, known)}")

    def _check_numbers(self, problems: Problems) -> None:
        low, high = self.participants, MAX_PER_PARTICIPANT * self.participants
        laws = {
            "participants": (
                2 <= self.participants <= MAX_PARTICIPANTS,
                f"must lie between 2 and {MAX_PARTICIPANTS}",
            ),
            "biopsies": (
                low <= self.biopsies <= high,
                f"must lie between {low} and {high} (1 to {MAX_PER_PARTICIPANT} for each participant)",
            ),
            "size": (MIN_SIZE <= self.size <= MAX_SIZE, f"must lie between {MIN_SIZE} and {MAX_SIZE} voxels"),
            "missing": (0 <= self.missing < 1, "must be a probability below 1"),
            "repeats": (0 <= self.repeats <= low, f"must lie between 0 and {low}, the participants"),
            "seed": (self.seed >= 0, "must not be negative"),
        }
        for option, (holds, law) in laws.items():
            if not holds:
                problems.add(f"phantom: {option}", f"{law}, but got {getattr(self, option)}")

    @property
    def model(self) -> FieldModel:
        """The constants of the field and its noise."""
        return FieldModel()

    @property
    def carriers(self) -> tuple[int, ...]:
        """Indices into `SEQUENCES` of those that show a field."""
        return tuple(SEQUENCES.index(name) for name in CARRIERS[self.kind])

    @property
    def fields(self) -> int:
        """How many hidden fields there are; what is expressed is their product."""
        return 2 if self.kind == "interaction" else 1

    @property
    def spacing(self) -> float:
        """Least distance between two true sites of a participant in mm: 8, less where the head is small."""
        return min(8.0, self.size / 8)

    @property
    def room(self) -> int:
        """Voxels kept between a recorded site and the border of the slice."""
        return min(8, self.size // 8)
