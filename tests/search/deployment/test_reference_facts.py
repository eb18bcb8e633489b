"""What `model.json` says of the training patches of a fold is what was fitted; wrong numbers are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from data_prep.patch_set import PatchSet
from data_prep.problems import InputError
from search.deployment.reference_facts import ReferenceFacts
from search.deployment.unlike import facts_of_reference, fit_reference, reference_of_facts
from tests.search.deployment.test_unlike import RADIUS, patch_set, reference

_READER = TypeAdapter(ReferenceFacts)


@pytest.mark.parametrize("normalisation", ["zscore", "none", "nyul"])
def test_what_model_json_says_of_a_fold_is_its_reference_bit_by_bit(normalisation: str) -> None:
    patches = as_if_by(normalisation, patch_set(23, n=80))
    whole, fold = reference(patches), fit_reference(patches, np.arange(48), RADIUS, "zero")
    text = _READER.dump_json(facts_of_reference(fold))
    told = reference_of_facts(_READER.validate_json(text), whole)
    asked = as_if_by(normalisation, patch_set(24, n=30))
    np.testing.assert_array_equal(told.distance(asked), fold.distance(asked))
    assert told.cut == fold.cut
    assert not np.allclose(told.distance(asked), whole.distance(asked))


def as_if_by(normalisation: str, patches: PatchSet) -> PatchSet:
    """The same patches as if they were scaled in another way."""
    marks = np.sort(np.random.default_rng(len(patches)).normal(size=patches.landmarks.shape), axis=2)
    return PatchSet(
        **(patches.arrays() | {"landmarks": marks.astype(np.float32)}),
        biopsy_id=patches.biopsy_id,
        participant_id=patches.participant_id,
        request=replace(patches.request, normalisation=normalisation),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"known": (True,)},
        {"mean": (0.0,) * 5},
        {"spread": (0.0, 1.0, 1.0)},
        {"standard": ((0.0,) * 10,) * 3},
        {"standard": ((0.0,) * 11, (0.0,) * 10, (0.0,) * 11)},
        {"covariance": ((1.0,) * 6,) * 6},
    ],
    ids=["known", "mean", "spread", "standard", "ragged", "singular"],
)
def test_of_a_fold_what_cannot_be_is_one_line(changes: dict[str, object]) -> None:
    whole = reference(patch_set(25, n=40))
    with pytest.raises(InputError, match="the training patches of a fold must be told in full") as caught:
        reference_of_facts(replace(facts_of_reference(whole), **changes), whole)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 1
