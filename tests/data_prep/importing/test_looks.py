"""What values look like."""

from __future__ import annotations

import numpy as np

from data_prep.importing.looks import are_tpm, suspicions

RNG = np.random.default_rng(0)


def transcriptome(genes: int) -> np.ndarray:
    rates = RNG.lognormal(0, 2, size=(4, genes))
    return 1e6 * rates / rates.sum(axis=1, keepdims=True)


def test_tpm_of_few_and_of_all_genes_are_not_suspected() -> None:
    assert suspicions(transcriptome(20_000)) == ()
    assert suspicions(transcriptome(20_000)[:, :300]) == ()
    assert suspicions(np.array([[0.0, 1.2], [3.0, np.nan]])) == ()
    assert suspicions(np.full((2, 2), np.nan)) == ()


def test_counts_logs_and_other_units_are() -> None:
    tpm = transcriptome(20_000)
    assert "looks like counts" in suspicions(np.rint(tpm * 20))[0]
    assert "looks logged" in suspicions(np.log2(tpm + 1))[0]
    assert "is not TPM" in suspicions(tpm / 3)[0]


def test_tpm_are_known_by_their_sum() -> None:
    assert are_tpm(transcriptome(50))
    assert not are_tpm(np.rint(transcriptome(50) * 2))


def test_small_whole_numbers_are_no_counts() -> None:
    assert suspicions(np.array([[0.0, 3.0], [100.0, 7.0]])) == ()
    assert "looks like counts" in suspicions(np.array([[0.0, 3.0], [101.0, 7.0]]))[0]
