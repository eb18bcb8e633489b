"""What is wrong with the voxels of images: constant, clipped, negative, in another unit than the others'.

Limits are set by what sound images reach: the phantoms of all kinds (24 to 64 voxels an edge, 250 images) and
four sequences of a real case.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from data_prep.check.findings import Finding
from data_prep.check.subject import Digest, File, Subject
from data_prep.problems import named

CLIPPED: Final = 1e-3
"""Share of the voxels that hold the greatest value: sound images reach 1.5e-4, which is two voxels."""
_CLIPPED_VOXELS: Final = 8

NEGATIVE: Final = 0.05
"""Share of voxels below 0: noise around 0 and the ringing of an interpolation reach 0.014."""

DEEP: Final = 1.0
"""The least value below 0 over the greatest: noise and ringing reach 0.29; numbers that wrapped around go
beyond 1, however few they are."""

SCALES_APART: Final = 30.0
"""Between two neighbouring deviations of one sequence: gains of scanners differ by less, units by more."""

_UNIT_MEAN, _UNIT_STD = 0.1, (0.9, 1.1)  # of what was z-scored; a judgement
_SEVERAL: Final = 3  # images of a sequence, from which what all share is its trait
_LEVELS: Final = {255: "8", 1023: "10", 4095: "12", 16383: "14", 32767: "15", 65535: "16"}


@dataclass(frozen=True, eq=False)
class Image:
    """An image whose voxels could be read, and whose it is."""

    participant: str
    biopsies: tuple[str, ...]
    file: File
    digest: Digest


def intensity_findings(subject: Subject) -> Iterator[Finding]:
    """Findings on the intensities of images and repeats; of files that cannot be read others tell.

    What is all zero, constant or a mask is looked at no further.
    """
    images = images_of(subject)
    sound, flaws = [], []
    for image in images:
        finding = _flaw(image)
        if finding is not None:
            flaws.append((image, finding))
        elif not is_mask(image.digest):
            sound.append(image)
    yield from _by_sequence(images, flaws)
    yield from _masks(subject, images)
    yield from _scales(subject, sound)


def _by_sequence(images: Sequence[Image], flaws: Sequence[tuple[Image, Finding]]) -> Iterator[Finding]:
    """The findings; one that all images of a sequence share is told once."""
    counts = Counter(image.file.name for image in images)
    kinds = Counter((image.file.name, finding.code) for image, finding in flaws)
    told = set()
    for image, finding in flaws:
        name = image.file.name
        if kinds[name, finding.code] < counts[name] or counts[name] < _SEVERAL:
            yield finding
        elif (name, finding.code) not in told:
            told.add((name, finding.code))
            what = f"{finding.what} So it is in all {counts[name]} images of {name}."
            yield replace(finding, what=what, participant=None, biopsies=())


def images_of(subject: Subject) -> list[Image]:
    """The images and repeats that were read to their end, each file once as the one and as the other."""
    found: dict[tuple[str, str], Image] = {}
    for visit in subject.visits:
        for file in (*visit.images.values(), *visit.repeats.values()):
            if file.digest is not None:
                image = Image(visit.participant, visit.ids, file, file.digest)
                found.setdefault((file.kind, file.label), image)
    return list(found.values())


def is_mask(digest: Digest) -> bool:
    """Whether no voxel is anything but 0 or one of two other values."""
    shares = digest.at_top + (digest.at_bottom if digest.at_top < 1 else 0.0)
    return digest.high > digest.low and shares > 1 - 1e-9


def is_constant(digest: Digest) -> bool:
    """Whether all voxels hold one value."""
    return digest.high <= digest.low


def _flaw(image: Image) -> Finding | None:
    """The one thing that explains the others, if anything is wrong."""
    digest = image.digest
    if digest.unusable:
        return _told(
            image,
            ("error", "not-finite"),
            f"voxels must be finite, but {digest.unusable} are NaN or infinite.",
            "Find the step that divided by zero or masked with NaN, and write 0 there.",
        )
    if is_constant(digest):
        return _empty(image)
    if is_mask(digest):
        return None
    if digest.negative > NEGATIVE or -digest.low > DEEP * max(digest.high, 0.0):
        return _negative(image)
    return _clipped(image)


def _empty(image: Image) -> Finding:
    value = image.digest.low
    if value == 0:
        what, code = "an image must show something, but all its voxels are 0.", "all-zero"
    else:
        what, code = f"an image must vary, but all its voxels are {value:g}.", "constant"
    return _told(
        image, ("warning", code), what, "Export it again, or remove the file: then the sequence is missing."
    )


def _negative(image: Image) -> Finding:
    digest = image.digest
    share = f"{100 * digest.negative:.0f} % of the voxels are negative, down to {digest.low:g}"
    if _is_normalised(digest):
        return _told(
            image,
            ("warning", "normalised"),
            f"intensities should be those of the scanner, but it looks normalised already: {share}, with "
            f"mean {digest.mean:.2g} and deviation {digest.std:.2g}.",
            "Take the image from before that step, or set the study's normalisation to none.",
        )
    return _told(
        image,
        ("warning", "negative"),
        f"intensities should not be negative, but {share}.",
        "Was it stored as unsigned and read as signed, or shifted? Is it a phase or a difference image?",
    )


def _is_normalised(digest: Digest) -> bool:
    """Whether mean and deviation are 0 and 1, of all voxels or of those that are not 0."""
    pairs = [(digest.mean, digest.std)]
    if digest.zeros < 1:
        mean = digest.mean / (1 - digest.zeros)
        square = (digest.std**2 + digest.mean**2) / (1 - digest.zeros)
        pairs.append((mean, math.sqrt(max(0.0, square - mean**2))))
    return any(abs(mean) <= _UNIT_MEAN and _UNIT_STD[0] <= std <= _UNIT_STD[1] for mean, std in pairs)


def _clipped(image: Image) -> Finding | None:
    digest, volume = image.digest, image.file.volume
    size = math.prod(volume.grid.shape) if volume is not None else 0
    for share, value, end in (
        (digest.at_top, digest.high, "greatest"),
        (digest.enclosed, digest.low, "least"),
    ):
        voxels = round(share * size * (1 - digest.zeros))
        if share < CLIPPED or voxels < _CLIPPED_VOXELS:
            continue
        bits = _LEVELS.get(int(value)) if end == "greatest" and value == int(value) else None
        limit = f", the largest number of {bits} bits" if bits else ""
        inside = ", not counting the background" if end == "least" else ""
        return _told(
            image,
            ("warning", "clipped"),
            f"few voxels should hold the {end} value, but {voxels} ({100 * share:.2g} % of those that are "
            f"not 0{inside}) hold {value:g}{limit}: it looks clipped.",
            "Export it again without a window or a narrower type; a map of several labels is a mask.",
        )
    return None


def _told(image: Image, kind: tuple[str, str], what: str, advice: str) -> Finding:
    return Finding(*kind, image.file.label, what, advice, image.participant, image.biopsies)


def _masks(subject: Subject, images: Sequence[Image]) -> Iterator[Finding]:
    """One note for each sequence whose images are masks."""
    for sequence in subject.cohort.sequences:
        masks = [i for i in images if i.file.name == sequence and not i.digest.unusable and is_mask(i.digest)]
        people = list(dict.fromkeys(image.participant for image in masks))
        if masks:
            yield Finding(
                "note",
                "mask-as-sequence",
                f"sequence {sequence}",
                f"images of a sequence have many grey values, but in {named(people)} it has at most three.",
                "A mask serves as a sequence: a model sees shapes and places in it, no intensities.",
                people[0] if len(people) == 1 else None,
            )


def _scales(subject: Subject, images: Sequence[Image]) -> Iterator[Finding]:
    """One warning for each sequence whose deviations fall into two groups far apart."""
    for sequence in subject.cohort.sequences:
        mine = sorted((i for i in images if i.file.name == sequence), key=lambda image: image.digest.std)
        ratios = [b.digest.std / a.digest.std for a, b in pairwise(mine)]
        if not ratios or max(ratios) < SCALES_APART:
            continue
        cut = int(np.argmax(ratios)) + 1
        few, many = sorted((mine[:cut], mine[cut:]), key=len)
        yield _apart(sequence, few, many)


def _apart(sequence: str, few: Sequence[Image], many: Sequence[Image]) -> Finding:
    people = list(dict.fromkeys(image.participant for image in few))
    mine, theirs = (float(np.median([image.digest.std for image in group])) for group in (few, many))
    return Finding(
        "warning",
        "scale-differs",
        few[0].file.label,
        f"{sequence} should have one unit in all participants, but its median deviation is {mine:.3g} in "
        f"{named(people)} and {theirs:.3g} in the other {len(many)} images, {_factor(mine, theirs)}.",
        "Bring them to one unit (mm2/s and 1e-3 mm2/s, fractions and percent), or normalise per image.",
        people[0] if len(people) == 1 else None,
        tuple(dict.fromkeys(name for image in few for name in image.biopsies)),
    )


def _factor(one: float, other: float) -> str:
    return f"{max(one, other) / min(one, other):.3g} times {'less' if one < other else 'more'}"
