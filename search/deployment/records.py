"""The frozen records between a model folder and whoever asks it: what is shown, what is said."""

from __future__ import annotations

from dataclasses import dataclass

from data_prep.arrays import BoolArray, DoubleArray
from data_prep.features.table import FeatureTable
from data_prep.patch_set import PatchSet


@dataclass(frozen=True, eq=False)
class Shown:
    """What a model is shown of n places.

    Attributes:
        patches: By the model's own request, in units of each image.
        location: Where each place is in the brain, columns as of `features.location`; None where no member
            of the model reads it.
    """

    patches: PatchSet
    location: FeatureTable | None = None

    def __len__(self) -> int:
        return len(self.patches)


@dataclass(frozen=True, eq=False)
class Said:
    """What one member says of n places and K labels.

    Attributes:
        probability: Of each label, shape (n, K).
        value: Of a regression, what it says of each label's score, a gene's as log2(TPM + 1); shape (n, K).
            None of a classification.
    """

    probability: DoubleArray
    value: DoubleArray | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of n places and K labels.

    Attributes:
        probability: Of each label, calibrated on biopsies that the members did not learn from, shape (n, K).
        spread: Standard deviation over the members of the probability that each would give alone, calibrated
            likewise; shape (n, K). 0 of a model of one member.
        positive: Whether the probability is above the label's threshold, shape (n, K).
        distance: From the training patches of the members that answer, root of the mean squared Mahalanobis
            distance a dimension; shape (n,). NaN where nothing is known of the place.
        unlike: Whether that is farther than 99 % of these biopsies are from those of the other participants,
            shape (n,); also where nothing is known of the place.
        value: As `Said.value`, mean over the members; None of a classification.
    """

    probability: DoubleArray
    spread: DoubleArray
    positive: BoolArray
    distance: DoubleArray
    unlike: BoolArray
    value: DoubleArray | None = None
