from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from search.records import FoldResult, TrialConfig


def test_a_fold_survives_its_json_to_the_last_bit(make_fold: Callable[..., FoldResult]) -> None:
    fold = make_fold(probabilities=(0.1 + 0.2, 1 / 3) * 8)
    again = FoldResult.from_json(fold.to_json())
    assert again == fold
    assert again.probabilities[0] == 0.1 + 0.2


def test_a_fold_without_a_gpu_is_written_as_ever_and_one_with_a_gpu_keeps_its_readings(
    make_fold: Callable[..., FoldResult],
) -> None:
    """Records of before the readings, and of machines without a GPU, have no word of them."""
    assert "gpu" not in json.loads(make_fold().to_json())
    noted = make_fold(gpu={"gpu_utilization_mean": 93.5, "gpu_memory_peak_mb": 1048.576})
    assert FoldResult.from_json(noted.to_json()) == noted


def test_a_fold_with_nan_is_not_written(make_fold: Callable[..., FoldResult]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        make_fold(seconds=float("nan")).to_json()


def test_a_folds_scores_carry_its_threshold(make_fold: Callable[..., FoldResult]) -> None:
    assert make_fold(error=0.2, threshold=0.9).scores.predicted.sum() == 0
    assert make_fold(error=0.2, threshold=0.5).scores.predicted.sum() == 8


def test_fold_seeds_differ_by_fold_and_by_trial_and_repeat() -> None:
    config = TrialConfig({}, seed=3)
    seeds = [config.fold_seed(split) for split in range(10)]
    assert len(set(seeds)) == 10
    assert seeds == [TrialConfig({}, seed=3).fold_seed(split) for split in range(10)]
    assert config.fold_seed(0) != TrialConfig({}, seed=4).fold_seed(0)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_fold_names_no_biopsy_and_no_participant(make_fold: Callable[..., FoldResult]) -> None:
    fields = json.loads(make_fold().to_json())
    assert all(isinstance(row, int) for row in fields["rows"] + fields["participants"])
