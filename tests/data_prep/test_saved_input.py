import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.fold_input import FoldInput, fit_input
from data_prep.inputs import MISSING
from data_prep.problems import InputError
from data_prep.saved_input import read_input, write_input
from tests.data_prep.test_fold_input import METHODS, RADIUS, patch_set

ARRAYS = ("known", "location", "spread", "standard", "fill")


def fitted(seed: int = 0, missing: str = "mean", slices: int = 1) -> FoldInput:
    return fit_input(patch_set(seed, slices=slices), np.arange(8), RADIUS, missing)


@settings(max_examples=15)
@given(st.integers(0, 50), st.sampled_from(MISSING), st.sampled_from((1, 3)))
def test_what_was_written_is_read_bit_by_bit_and_shows_patches_alike(tmp_path_factory, seed, missing, slices):
    view, path = fitted(seed, missing, slices), tmp_path_factory.mktemp("view") / "input.npz"
    write_input(view, path)
    again = read_input(path)
    for name in ARRAYS:
        one, two = getattr(view, name), getattr(again, name)
        assert (one is None) == (two is None)
        if one is not None:
            assert (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
    for name in ("sequences", "methods", "radius", "layout", "channels"):
        assert getattr(again, name) == getattr(view, name)
    patches = patch_set(seed + 1, slices=slices)
    assert again.images(patches).tobytes() == view.images(patches).tobytes()


def test_the_same_content_gives_the_same_bytes(tmp_path):
    view = fitted()
    for name in ("one.npz", "two.npz"):
        write_input(view, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert read_input(tmp_path / "one.npz").methods == METHODS


def test_an_absent_file_is_one_line_that_names_it(tmp_path):
    with pytest.raises(InputError, match=r"input\.npz: what a model is shown must be readable") as caught:
        read_input(tmp_path / "input.npz")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "input.npz"
    write_input(fitted(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="absent or damaged"):
        read_input(path)


def test_a_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "input.npz"
    write_input(fitted(), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="absent or damaged"):
        read_input(path)


def test_pickled_content_is_not_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    path = tmp_path / "input.npz"
    np.savez(path, said=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match="absent or damaged"):
        read_input(path)


def test_a_part_that_claims_more_than_the_file_has_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(2**22, np.uint8))
    with zipfile.ZipFile(tmp_path / "input.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("said.npy", buffer.getvalue())
    with pytest.raises(InputError, match="claim more than its size"):
        read_input(tmp_path / "input.npz")


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"format": 2}, "format 1 is known, but got 2"),
        ({"radius": RADIUS + 1}, "fill must have shape"),
        ({"radius": "a"}, "absent or damaged"),
        ({"slices": 2}, "fill must have shape"),
        ({"methods": ["zscore"] * 3 + ["cubic"]}, "a method for each sequence"),
        ({"sequences": ["T1"] * 4}, "each sequence once"),
        ({"sequences": [1, 2, 3, 4]}, "sequences must be names"),
        ({"presence": [9]}, "presence channels of its sequences"),
        ({"channels": []}, "a name for each channel"),
    ],
)
def test_what_cannot_be_is_refused_by_its_law(tmp_path, change, law):
    path = tmp_path / "input.npz"
    write_input(fitted(), path)
    with np.load(path) as kept:
        arrays = dict(kept)
    said = json.loads(arrays["said"].tobytes()) | change
    np.savez(path, **arrays | {"said": np.frombuffer(json.dumps(said).encode(), np.uint8)})
    with pytest.raises(InputError, match=law):
        read_input(path)


@pytest.mark.parametrize("spread", [0.0, -1.0, np.nan])
def test_a_spread_that_nothing_can_be_divided_by_is_refused(tmp_path, spread):
    view = fitted()
    write_input(replace(view, spread=np.full(len(view.sequences), spread)), tmp_path / "input.npz")
    with pytest.raises(InputError, match="spread"):
        read_input(tmp_path / "input.npz")
