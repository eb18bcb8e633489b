"""What a network sees: normalised patches, and how absent sequences are shown to it."""

from __future__ import annotations

import numpy as np

from data_prep.arrays import FloatArray, IntArray
from data_prep.patches import PatchSet
from data_prep.problems import InputError, nearest

MISSING = ("mask", "zero", "drop")


def input_channels(patches: PatchSet, missing: str) -> tuple[str, ...]:
    """Names of the channels of `model_input`.

    Args:
        patches: The whole cohort's: which sequences need a presence channel depends on who is in the set.
        missing: "zero": an absent sequence is 0 after normalisation; "mask": the same, and a channel
            "has:T1", constant 0 or 1, for each sequence that somebody lacks; "drop": as "zero", for the
            biopsies of `complete_rows`.

    Raises:
        InputError: `missing` is none of these.
    """
    if missing not in MISSING:
        raise InputError(f"missing: unknown value '{missing}'; {nearest(missing, MISSING)}.")
    lacking = np.flatnonzero(~patches.present.all(axis=0)) if missing == "mask" else np.array([], dtype=int)
    return (*patches.channel_names, *(f"has:{patches.sequences[column]}" for column in lacking))


def model_input(patches: PatchSet, radius: int, missing: str) -> FloatArray:
    """Images with their presence channels, shape (n, 2 * radius + 1, 2 * radius + 1, channels).

    Raises:
        InputError: `missing` is illegal, or `radius` larger than what was extracted.
    """
    channels = input_channels(patches, missing)
    images = patches.images(radius)
    names = channels[images.shape[-1] :]
    if not names:
        return images
    columns = [patches.sequences.index(name.removeprefix("has:")) for name in names]
    presence = patches.present[:, None, None, columns].astype(np.float32)
    presence = np.broadcast_to(presence, (*images.shape[:3], len(columns)))
    return np.concatenate([images, presence], axis=-1)


def complete_rows(patches: PatchSet) -> IntArray:
    """Rows of the biopsies that have every sequence."""
    return np.flatnonzero(np.all(patches.present, axis=1)).astype(np.int64)
