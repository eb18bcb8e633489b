"""What a network sees: normalised patches, and how absent sequences are shown to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import BoolArray, FloatArray, IntArray
from data_prep.patch_set import PatchSet
from data_prep.problems import InputError, nearest

MISSING = ("drop", "zero", "mask", "mean")


@dataclass(frozen=True)
class ChannelLayout:
    """Where the sequences stand among the channels of a network's input.

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
    """Where the sequences stand among the channels of a network's input.

    Args:
        patches: The whole cohort's: which sequences need a presence channel depends on who is in the set.
        missing: "zero": an absent sequence is 0 after normalisation; "mask": the same, and a channel
            "has:T1", constant 0 or 1, for each sequence that somebody lacks; "drop": as "zero", of a network
            that learns from the biopsies of `complete_rows` alone; "mean": it is the mean patch of a training
            fold, which `fold_input.FoldInput` shows.

    Raises:
        InputError: `missing` is none of these.
    """
    if missing not in MISSING:
        raise InputError(f"missing: unknown value '{missing}'; {nearest(missing, MISSING)}.")
    lacking = np.flatnonzero(~patches.present.all(axis=0)) if missing == "mask" else ()
    return ChannelLayout(len(patches.sequences), patches.slices, tuple(map(int, lacking)))


def input_channels(patches: PatchSet, missing: str) -> tuple[str, ...]:
    """Names of the channels of a network's input; arguments and errors as of `channel_layout`."""
    return channel_names(patches, channel_layout(patches, missing))


def channel_names(patches: PatchSet, layout: ChannelLayout) -> tuple[str, ...]:
    """Names of the channels of a layout: those of the images, then "has:T1"."""
    return (*patches.channel_names, *(f"has:{patches.sequences[column]}" for column in layout.presence))


def lay_out(patches: PatchSet, radius: int, layout: ChannelLayout) -> FloatArray:
    """Images with the presence channels of a layout, absent sequences 0.

    Args:
        patches: In the units that are shown.
        radius: At most that of the patches.
        layout: Of the channels.

    Returns:
        Shape (n, 2 * radius + 1, 2 * radius + 1, channels), a copy.

    Raises:
        InputError: `radius` is larger than what was extracted.
    """
    images = patches.images(radius)
    columns = list(layout.presence)
    if not columns:
        return images
    presence = patches.present[:, None, None, columns].astype(np.float32)
    presence = np.broadcast_to(presence, (*images.shape[:3], len(columns)))
    return np.concatenate([images, presence], axis=-1)


def fill_in(images: FloatArray, shown: BoolArray, layout: ChannelLayout, fill: FloatArray | None) -> None:
    """Put something in place of sequences that are not shown.

    Args:
        images: Of `lay_out`, shape (n, edge, edge, channels); changed in place.
        shown: Which sequences stay, shape (n, C).
        layout: Of the channels.
        fill: Shape (edge, edge, S * C); None leaves all as it is.
    """
    if fill is not None:
        absent = np.tile(~shown, layout.slices)[:, None, None, :]
        np.copyto(images[..., : absent.shape[-1]], fill, where=absent)


def complete_rows(patches: PatchSet) -> IntArray:
    """Rows of the biopsies that have every sequence."""
    return np.flatnonzero(np.all(patches.present, axis=1)).astype(np.int64)
