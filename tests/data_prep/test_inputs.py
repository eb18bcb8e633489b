import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.inputs import (
    ChannelLayout,
    channel_layout,
    complete_rows,
    fill_in,
    input_channels,
    lay_out,
)
from data_prep.patches import PatchRequest, PatchSet, extract_patches
from data_prep.problems import InputError


@pytest.fixture
def gappy(tmp_path, make_cohort) -> PatchSet:
    """T1 and T2 of three participants, the second of whom lacks T2."""
    folder = make_cohort(
        tmp_path, participants=3, biopsies=6, size=12, sequences=("T1", "T2"), missing={(1, "T2")}
    )
    return extract_patches(read_cohort(folder), PatchRequest(("T1", "T2"), 3, slices=3))


def laid_out(patches: PatchSet, radius: int, missing: str) -> np.ndarray:
    return lay_out(patches, radius, channel_layout(patches, missing))


def test_nine_complete_sequences_give_nine_channels(tmp_path, make_cohort):
    names = tuple("ABCDEFGHI")
    folder = make_cohort(tmp_path, participants=1, biopsies=2, size=20, sequences=names)
    patches = extract_patches(read_cohort(folder), PatchRequest(names, 8))
    assert laid_out(patches, 8, "mask").shape == (2, 17, 17, 9)
    assert input_channels(patches, "mask") == names


def test_a_presence_channel_is_added_for_a_sequence_that_somebody_lacks(gappy):
    assert input_channels(gappy, "mask") == (*gappy.channel_names, "has:T2")
    images = laid_out(gappy, 2, "mask")
    assert images.shape == (6, 5, 5, 7)
    assert images.dtype == np.float32
    assert np.array_equal(images[..., 6], np.broadcast_to([[[1]], [[0]], [[1]]] * 2, (6, 5, 5)))
    assert np.array_equal(images[..., :6], laid_out(gappy, 2, "zero"))


def test_zero_fills_absent_sequences_in_every_slice(gappy):
    images = laid_out(gappy, 3, "zero")
    assert not images[[1, 4]][..., 1::2].any()
    assert images[[1, 4]][..., 0::2].any()


def test_complete_rows_are_those_with_every_sequence(gappy):
    rows = complete_rows(gappy)
    assert rows.tolist() == [0, 2, 3, 5]
    assert input_channels(gappy.take(rows), "drop") == gappy.channel_names


def test_another_way_with_missing_sequences_is_refused(gappy):
    with pytest.raises(InputError, match="missing: unknown value 'impute'; Known: drop, mask, mean, zero"):
        channel_layout(gappy, "impute")


def test_the_layout_says_where_the_sequences_stand(gappy):
    layout = channel_layout(gappy, "mask")
    assert layout == ChannelLayout(sequences=2, slices=3, presence=(1,))
    assert input_channels(gappy, "mask")[3:] == ("T2", "T1[+1]", "T2[+1]", "has:T2")
    numbers = np.array([[1, 2], [3, 4]], dtype=np.float32)
    assert layout.spread(numbers, 10 * numbers).tolist() == [[1, 2] * 3 + [20], [3, 4] * 3 + [40]]
    for missing in ("mask", "zero"):
        assert channel_layout(gappy, missing).channels == laid_out(gappy, 2, missing).shape[3]


def test_the_mean_of_a_training_fold_has_the_channels_of_zero(gappy):
    assert channel_layout(gappy, "mean") == channel_layout(gappy, "zero")
    assert input_channels(gappy, "mean") == gappy.channel_names


def test_what_is_not_shown_is_filled_in_every_slice_and_no_presence_channel_is(gappy):
    layout, fill = channel_layout(gappy, "mask"), np.arange(25 * 6, dtype=np.float32).reshape(5, 5, 6)
    plain = lay_out(gappy, 2, layout)
    images, shown = plain.copy(), gappy.present & (np.arange(6) != 5)[:, None]
    fill_in(images, shown, layout, fill)
    assert np.array_equal(images[[1, 4]][..., 1:6:2], np.stack([fill[..., 1::2]] * 2))
    assert np.array_equal(images[5][..., :6], fill)
    assert np.array_equal(images[..., 6], plain[..., 6])
    assert np.array_equal(images[[0, 2, 3]], plain[[0, 2, 3]])
    fill_in(images, shown, layout, None)
    assert np.array_equal(images[5][..., :6], fill)
