"""What a phantom is: the options of `radsearch phantom` and the constants of its model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from data_prep.problems import InputError, Problems, nearest

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

Voxel: TypeAlias = tuple[float, float, float]
"""Edges of a voxel along x, y, z in mm."""

POINT: Final[Voxel] = (0.0, 0.0, 0.0)
"""The box of a voxel that averages nothing."""

UNIT: Final[Voxel] = (1.0, 1.0, 1.0)
"""Distances between such points in mm."""

GRIDS: Final = ("one", "mixed")
"""Whether all images of a participant have one grid, or some coarser ones (`COARSE`)."""

COARSE: Final[dict[str, Voxel]] = {
    "FA": (2.0, 2.0, 2.0),
    "MD": (2.0, 2.0, 2.0),
    "EPI-C": (2.0, 2.0, 3.0),
    "FLAIR": (1.0, 1.0, 3.0),
    "rCBV": (2.0, 2.0, 3.0),
    "srCBV": (2.0, 2.0, 3.0),
}
"""The voxels of mixed grids; T1, T1Gd and T2 keep 1 mm."""

REFERENCE: Final = "T1Gd"
"""The sequence to whose space sites and masks belong; a registration error leaves it where it is."""

ORIENTATIONS: Final = ("ras", "mixed")
"""In which order files store their voxels: all alike, or each participant's in another of the 48 orders."""

MISSING_BY: Final = ("participant", "scanner")
"""What makes sequences go missing: chance alone, or also a scanner that measures no diffusion."""

MAX_PARTICIPANTS: Final = 10_000
MAX_PER_PARTICIPANT: Final = 8
MIN_SIZE: Final = 24
MAX_SIZE: Final = 256
MIN_EDGE: Final = 0.5
MAX_EDGE: Final = 8.0
MAX_OBLIQUE: Final = 20.0
MAX_SHIFT: Final = 5.0
MAX_CONFOUNDING: Final = 3.0
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
        radius: Patch radius in mm; the patch is one axial slice.
        nugget: Variance of the white noise of a voxel.
        voxel: Edges of the box over which a voxel averages field and noise; None for points 1 mm apart.
        registration_sd: Error of each sequence's place along x and y.
    """

    tau2: float = 0.3
    length: float = 6.0
    noise_length: float = 1.5
    offset_variance: float = 0.25
    kappa2: float = 0.85
    site_sd: float = 2.5
    radius: int = 8
    nugget: float = 1e-4
    voxel: Voxel | None = None
    registration_sd: float = 0.0

    @property
    def edges(self) -> Voxel:
        """Distances between voxels along x, y, z in mm."""
        return self.voxel or UNIT

    @property
    def box(self) -> Voxel:
        """Edges of the box that a voxel averages in mm; zeros for a point."""
        return self.voxel or POINT


@dataclass(frozen=True)
class PhantomSpec:
    """One phantom cohort; the same spec always gives the same bytes.

    Attributes:
        participants: Number of participants, 2 to 10,000.
        biopsies: Number of biopsies in total, 1 to 8 each.
        signal: A name of `SIGNALS`.
        kind: A name of `KINDS`.
        size: Edge of the cubic volumes in mm, which are voxels unless `voxel` says otherwise. The head, its
            tumour and the least distance between sites shrink with a size below 64, the lengths of the
            fields do not.
        missing: Probability that a participant lacks a sequence.
        repeats: How many participants, from the first, are scanned a second time.
        seed: Any integer from 0.
        voxel: Edges of a voxel in mm, each the mean of the continuous image over its box; None for points
            that are 1 mm apart.
        grids: A name of `GRIDS`.
        oblique: The largest angle in degrees by which a grid is turned about each axis; the least is a third.
        orientation: A name of `ORIENTATIONS`.
        missing_by: A name of `MISSING_BY`.
        scanner_shift: How far scanners differ, as a factor; 0 makes them identical.
        registration_error: Error of each sequence's place in mm along x and y, `REFERENCE` excepted.
        site_error: Error of a recorded site in mm along each axis.
        confounding: h: expression is higher by it on one half of the scanners, lower on the other.

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
    voxel: Voxel | None = None
    grids: str = "one"
    oblique: float = 6.0
    orientation: str = "ras"
    missing_by: str = "participant"
    scanner_shift: float = 1.0
    registration_error: float = 0.0
    site_error: float = 2.5
    confounding: float = 0.0

    def __post_init__(self) -> None:
        problems = Problems()
        self._check_names(problems)
        self._check_numbers(problems)
        self._check_geometry(problems)
        self._check_together(problems)
        problems.raise_any()

    def _check_names(self, problems: Problems) -> None:
        legal = {
            "signal": SIGNALS,
            "kind": KINDS,
            "grids": GRIDS,
            "orientation": ORIENTATIONS,
            "missing_by": MISSING_BY,
        }
        for option, known in legal.items():
            if (value := getattr(self, option)) not in known:
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
        self._note(laws, problems)

    def _check_geometry(self, problems: Problems) -> None:
        """A site's error must leave room for a redraw at the border to be rare, a shift keep the head in."""
        sound = MIN_SIZE <= self.size <= MAX_SIZE
        most = {"site_error": self.size / 8, "registration_error": self.size / 16} if sound else {}
        laws = {
            "oblique": (0 <= self.oblique <= MAX_OBLIQUE, f"must lie between 0 and {MAX_OBLIQUE:g} degrees"),
            "scanner_shift": (0 <= self.scanner_shift <= MAX_SHIFT, f"must lie between 0 and {MAX_SHIFT:g}"),
            "confounding": (
                0 <= self.confounding <= MAX_CONFOUNDING,
                f"must lie between 0 and {MAX_CONFOUNDING:g}",
            ),
            **{
                option: (
                    0 <= getattr(self, option) <= high,
                    f"must lie between 0 and {high:g} mm at this size",
                )
                for option, high in most.items()
            },
        }
        self._note(laws, problems)
        if self.voxel is not None and sound:
            self._check_voxel(self.voxel, problems)

    def _check_voxel(self, voxel: Voxel, problems: Problems) -> None:
        most = min(MAX_EDGE, self.size / 4)
        text = "x".join(f"{edge:g}" for edge in voxel)
        if len(voxel) != 3 or not all(MIN_EDGE <= edge <= most for edge in voxel):
            law = f"three edges between {MIN_EDGE:g} and {most:g} mm are needed at this size"
            problems.add("phantom: voxel", f"{law}, but got {text}")
        elif (count := self.size**3 / math.prod(voxel)) > MAX_SIZE**3:
            law = f"a volume must have {MAX_SIZE}^3 voxels at most"
            problems.add(
                "phantom: voxel", f"{law}, but got {count:.0f}. Choose larger ones or a smaller size."
            )

    def _check_together(self, problems: Problems) -> None:
        """What has no exact ceiling together."""
        gaussian = self.kind == "gaussian" or self.kind not in KINDS
        laws = {
            "confounding": (
                gaussian or not self.confounding,
                "only normal scores have a closed form of g +- h",
            ),
            "registration_error": (
                gaussian or not self.registration_error,
                "only a field that adds to the signal has a closed form of displaced images",
            ),
            "grids": (
                gaussian or self.grids != "mixed",
                "only a field that adds to the signal has a closed form of several grids",
            ),
        }
        for option, (holds, law) in laws.items():
            if not holds:
                problems.add(f"phantom: {option}", f"{law}, but got kind {self.kind!r}")
        if self.kind == "interaction" and self.missing_by == "scanner":
            law = "a product is read where both of its sequences are there"
            problems.add("phantom: missing_by", f"{law}, but got a scanner without MD")
        if self.voxel is not None and self.grids == "mixed":
            problems.add("phantom: grids", "mixed grids have voxels of their own, but got voxel as well")

    def _note(self, laws: Mapping[str, tuple[bool, str]], problems: Problems) -> None:
        for option, (holds, law) in laws.items():
            if not holds:
                problems.add(f"phantom: {option}", f"{law}, but got {getattr(self, option)}")

    @property
    def model(self) -> FieldModel:
        """The constants of the field and its noise."""
        return FieldModel(site_sd=self.site_error, voxel=self.voxel, registration_sd=self.registration_error)

    @property
    def several(self) -> bool:
        """Whether sequences must be read one by one, for their weighted mean is not all that they tell."""
        return self.registration_error > 0 or self.grids == "mixed"

    def voxel_of(self, sequence: str) -> Voxel | None:
        """Edges of the voxels of a sequence; None for points that are 1 mm apart."""
        return COARSE.get(sequence) if self.grids == "mixed" else self.voxel

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


def parse_voxel(text: str) -> Voxel:
    """Edges of a voxel from the command line.

    Raises:
        InputError: It is not three numbers with x between them.

    >>> parse_voxel("0.5x0.5x5")
    (0.5, 0.5, 5.0)
    """
    try:
        x, y, z = (float(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise InputError(f"phantom: voxel: must be like 0.5x0.5x5, but got {text!r}") from error
    return (x, y, z)
