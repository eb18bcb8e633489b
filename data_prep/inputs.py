"""What a network sees: normalised patches, and how absent sequences are shown to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import BoolArray, FloatArray, IntArray
from data_prep.patches import PatchSet
from data_prep.problems import InputError, nearest

MISSING = ("mask", "zero", "drop")


@dataclass(frozen=True)
class ChannelLayout:
    """Where the sequences stand among the channels of `model_input`.

    Attributes:
        sequences: C, how many stand side by side in each slice.
        slices: S; the first S * C channels are images.
        presence: The sequence that each further channel tells the presence of, by number.
    """

    sequences: int
    slices: int = 1
    presence: tuple[int, ...] = ()

    @property
    def channels(self) -> int:
        """How many there are."""
        return self.slices * self.sequences + len(self.presence)

    def spread(self, of_images: FloatArray, of_presence: FloatArray | BoolArray) -> FloatArray:
        """Numbers of each sequence, two arrays of shape (n, C), put at its channels: shape (n, channels)."""
        parts = [np.tile(of_images, self.slices), of_presence[:, list(self.presence)]]
        return np.concatenate(parts, axis=1, dtype=np.float32)


def channel_layout(patches: PatchSet, missing: str) -> ChannelLayout:
    """Where the sequences stand among the channels of `model_input`.

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
    lacking = np.flatnonzero(~patches.present.all(axis=0)) if missing == "mask" else ()
    return ChannelLayout(len(patches.sequences), patches.slices, tuple(map(int, lacking)))


def input_channels(patches: PatchSet, missing: str) -> tuple[str, ...]:
    """Names of the channels of `model_input`; arguments and errors as of `channel_layout`."""
    presence = channel_layout(patches, missing).presence
    return (*patches.channel_names, *(f"has:{patches.sequences[column]}" for column in presence))


def model_input(patches: PatchSet, radius: int, missing: str) -> FloatArray:
    """Images with their presence channels, shape (n, 2 * radius + 1, 2 * radius + 1, channels).

    Raises:
        InputError: `missing` is illegal, or `radius` larger than what was extracted.
    """
    columns = list(channel_layout(patches, missing).presence)
    images = patches.images(radius)
    if not columns:
        return images
    presence = patches.present[:, None, None, columns].astype(np.float32)
    presence = np.broadcast_to(presence, (*images.shape[:3], len(columns)))
    return np.concatenate([images, presence], axis=-1)


def complete_rows(patches: PatchSet) -> IntArray:
    """Rows of the biopsies that have every sequence."""
    return np.flatnonzero(np.all(patches.present, axis=1)).astype(np.int64)
