"""How the intensities of an image are brought to a common scale, by image or by cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from data_prep.problems import Problems, nearest

METHODS: Final = {
    "zscore": "mean and standard deviation of the image inside the brain mask",
    "robust": "median and percentiles of the image inside the brain mask",
    "white-matter": "the peak of white matter in the image",
    "nyul": "percentiles of the image matched to those of the training fold",
    "none": "as they are, for quantitative maps; a network sees them in units of the training fold",
}
"""The legal methods, each in words."""

COHORT_FITTED: Final = ("nyul", "none")
"""The methods whose scale comes from a training fold; the others' comes from each image alone."""

AUTO: Final = "auto"
"""The setting that chooses by sequence: "none" for quantitative maps, "zscore" for all others."""

QUANTITATIVE: Final = ("FA", "MD", "AD", "RD", "ADC", "rCBV", "srCBV", "nCBV", "CBV", "rCBF", "CBF", "MTT")
"""Names of sequences that are maps in units of their own, unless cohort.toml says otherwise."""

LANDMARKS: Final = 11
"""How many percentiles of an image are kept where its histogram is matched."""

_REST: Final = "*"


@dataclass(frozen=True)
class Scale:
    """What is known of the intensities of one image.

    Attributes:
        location: What they are taken relative to,
        spread: and then divided by; above 0.
        landmarks: Percentiles of the image where its histogram is matched, else zeros; `LANDMARKS` numbers.
    """

    location: float = 0.0
    spread: float = 1.0
    landmarks: tuple[float, ...] = (0.0,) * LANDMARKS


def methods_of(
    setting: str | Mapping[str, str], sequences: Sequence[str], quantitative: Sequence[str] | None
) -> tuple[str, ...]:
    """The method of each sequence.

    Args:
        setting: "auto" or a name of `METHODS` for all sequences; or one for each sequence named, "*" naming
            the others, which otherwise are "auto".
        sequences: In channel order.
        quantitative: The sequences that are maps in units of their own, None for those whose names are in
            `QUANTITATIVE`, in upper or lower case.

    Returns:
        A name of `METHODS` for each sequence.

    Raises:
        InputError: Every unknown sequence and method.

    >>> methods_of({"FA": "robust", "*": "auto"}, ("FA", "MD", "T1"), None)
    ('robust', 'none', 'zscore')
    """
    table = {_REST: setting} if isinstance(setting, str) else dict(setting)
    problems = Problems()
    for name, method in table.items():
        if name != _REST and name not in sequences:
            problems.add("normalisation", f"unknown sequence '{name}'; {nearest(name, sequences)}.")
        if method != AUTO and method not in METHODS:
            problems.add("normalisation", f"unknown method '{method}'; {nearest(method, (AUTO, *METHODS))}.")
    problems.raise_any()
    chosen = (table.get(name, table.get(_REST, AUTO)) for name in sequences)
    maps = {name.lower() for name in QUANTITATIVE}
    is_map = [name.lower() in maps if quantitative is None else name in quantitative for name in sequences]
    automatic = ("none" if quantity else "zscore" for quantity in is_map)
    return tuple(rule if method == AUTO else method for method, rule in zip(chosen, automatic, strict=True))
