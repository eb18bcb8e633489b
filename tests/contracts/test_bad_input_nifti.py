"""NIfTI files that lie, burst or are something else: refused before anything large is allocated."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.problems import InputError
from data_prep.volumes import open_volume, slabs
from tests.contracts.bad_input import ROOT, Case, check_refused, spawned

T1 = "cohort/sub-001/T1.nii.gz"
SHAPE = (12, 12, 12)
FEW_MB = 8 * 2**20
SECONDS = 2.0  # of a header; it takes a millisecond


def header(version: int = 1, endianness: str = "<", **fields: object) -> bytes:
    """A header of a sound float32 volume like those of the world, but for some of its fields."""
    kind = nib.Nifti1Header if version == 1 else nib.Nifti2Header
    made = kind(endianness=endianness)
    made.set_data_shape(SHAPE)
    made.set_data_dtype(np.float32)
    affine = np.eye(4)
    affine[:3, 3] = -6
    made.set_sform(affine, 1)
    made.set_qform(affine, 1)
    made["magic"], made["vox_offset"] = made.single_magic, made.single_vox_offset
    for name, value in fields.items():
        made.structarr[name] = value
    return bytes(made.binaryblock)


def volume(version: int = 1, behind: bytes | None = None, **fields: object) -> bytes:
    """A whole file, not compressed."""
    voxels = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32).tobytes()
    return header(version, **fields) + bytes(4) + (voxels if behind is None else behind)


def as_image(content: Callable[[], bytes], packed: bool = True) -> Callable[[Path], object]:
    """Put a file in place of an image."""
    return lambda world: (world / T1).write_bytes(gzip.compress(content()) if packed else content())


def dims(*edges: int) -> list[int]:
    return [*edges, *[1] * (8 - len(edges))]


def bomb(size: int) -> bytes:
    """So many zeros, compressed a thousandfold, without having them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = bytes(2**20)
    return b"".join([*(packer.compress(piece) for _ in range(size // len(piece))), packer.flush()])


MEBI = bomb(64 * 2**20)


def burst(claim: bytes) -> Callable[[Path], object]:
    """A header, then a gigabyte of zeros in a megabyte of file: members follow each other."""
    return lambda world: (world / T1).write_bytes(gzip.compress(claim + bytes(4)) + MEBI * 16)


def damaged(world: Path) -> None:
    content = bytearray((world / T1).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (world / T1).write_bytes(content)


def shortened(kept: int) -> Callable[[Path], object]:
    return lambda world: (world / T1).write_bytes((world / T1).read_bytes()[:kept])


def field(name: str, says: str, version: int = 1, **fields: object) -> Case:
    return Case(name, as_image(lambda: volume(version, **fields)), rf"sub-001/T1.nii.gz: .*{says}")


NAN, INF = float("nan"), float("inf")
BROKEN = "a readable NIfTI file is needed"
AFFINE = "affine must be invertible"
CASES = [
    field("a terabyte", "a volume has at most", dim=dims(3, 10000, 10000, 5000)),
    field("a terabyte in NIfTI-2", "a volume has at most", 2, dim=dims(3, 10000, 10000, 5000)),
    field("the largest NIfTI-1", "a volume has at most", dim=dims(3, 32767, 32767, 32767)),
    field("edges whose product overflows", "a volume has at most", 2, dim=dims(3, 2**22, 2**22, 2**22)),
    field("edges whose product wraps to 0", "a volume has at most", 2, dim=dims(3, 2**32, 2**32, 2**32)),
    field("the largest edges", "a volume has at most", 2, dim=dims(3, 2**63 - 1, 2**63 - 1, 1)),
    field("a large slice", "a volume has at most", dim=dims(3, 30000, 30000, 1)),
    field(
        "more than the file can hold",
        r"must hold the \d+ bytes its header claims",
        dim=dims(3, 1000, 1000, 900),
    ),
    field("an edge of 0", "three dimensions, but got shape", dim=dims(3, 12, 0, 12)),
    field("an edge below 0", "three dimensions, but got shape", dim=dims(3, 12, -12, 12)),
    field("two edges below 0", "three dimensions, but got shape", dim=dims(3, -12, -12, 12)),
    field("an edge below 0 in NIfTI-2", "three dimensions, but got shape", 2, dim=dims(3, 12, -(2**63), 12)),
    field("no dimension", "three dimensions, but got 0", dim=dims(0, 12, 12, 12)),
    field("a dimension below 0", "three dimensions, but got -3", dim=dims(-3, 12, 12, 12)),
    field("eight dimensions", "three dimensions, but got 8", dim=dims(8, 12, 12, 12)),
    field("two dimensions", "three dimensions, but got shape", dim=dims(2, 144, 12)),
    field("a series", "three dimensions, but got shape", dim=dims(4, 12, 12, 6, 2)),
    field("FreeSurfer's long vector", "three dimensions, but got shape", dim=dims(3, -1, 1, 1), glmin=1728),
    field("voxels inside the header", "vox offset 100 too low", vox_offset=100.0),
    field("voxels at 0", "voxels must begin at a byte", vox_offset=0.0),
    field("voxels before the file", "vox offset -1000 too low", vox_offset=-1000.0),
    field("voxels at NaN", BROKEN + "|voxels must begin", vox_offset=NAN),
    field("voxels at infinity", BROKEN + "|voxels must begin", vox_offset=INF),
    field("voxels far behind the file", "voxels must begin at a byte", vox_offset=1e12),
    field("voxels behind the file", r"truncated", vox_offset=4096.0),
    field("voxels at the end of numbers", "voxels must begin", 2, vox_offset=2**63 - 1),
    field("complex voxels", "real numbers, but got complex64", datatype=32, bitpix=64),
    field("coloured voxels", "real numbers, but got RGB", datatype=128, bitpix=24),
    field("voxels with transparency", "real numbers, but got RGBA", datatype=2304, bitpix=32),
    field("voxels of one bit", BROKEN + "|real numbers", datatype=1, bitpix=1),
    field("voxels of no type", BROKEN + "|real numbers", datatype=0),
    field("voxels of an unknown type", BROKEN + "|real numbers", datatype=12345),
    field("a scaling without intercept", "scaling must be finite", scl_slope=1.0, scl_inter=NAN),
    field("a scaling that overflows", "voxels must be finite", scl_slope=3e38),
    field("an affine of zeros", AFFINE, srow_x=0, srow_y=0, srow_z=0),
    field("a flat affine", AFFINE, srow_y=[1, 0, 0, 0]),
    field("an affine of NaN", AFFINE, srow_x=NAN),
    field("an infinite affine", AFFINE, srow_z=[0, 0, INF, 0]),
    field("an affine of light years", AFFINE, srow_x=[1e30, 0, 0, 0]),
    field("an affine of atoms", AFFINE, srow_x=[1e-30, 0, 0, 0]),
    field("a quaternion of NaN", "affine must be", sform_code=0, quatern_b=NAN),
    field("a quaternion beyond 1", "affine must be", sform_code=0, quatern_b=5.0),
    field("no place in the world", "sform_code and qform_code are both 0", sform_code=0, qform_code=0),
    field("another magic", "its magic is b'xyz'", magic=b"xyz"),
    field("the magic of a pair", "its magic is b'ni1'", magic=b"ni1"),
    field("the magic of Analyze", "its magic is b''", magic=b""),
    field("another size of header", "does not begin with a NIfTI header", sizeof_hdr=349),
    field("another end of lines", "EOL", 2, eol_check=(10, 10, 26, 10)),
    Case("0 bytes", as_image(lambda: b"", packed=False), r"T1.nii.gz: .*it is empty"),
    Case("0 bytes, packed", as_image(lambda: b""), r"T1.nii.gz: .*(does not begin|truncated)"),
    Case("half a header", as_image(lambda: volume()[:200]), r"T1.nii.gz: .*its header is truncated"),
    Case("a header alone", as_image(header), r"T1.nii.gz: .*truncated"),
    Case(
        "half the voxels", as_image(lambda: volume()[:4000]), r"T1.nii.gz: .*truncated or damaged: 12 slices"
    ),
    Case("not packed, but named so", as_image(volume, packed=False), r"T1.nii.gz: .*not compressed, though"),
    Case("packed twice", as_image(lambda: gzip.compress(volume())), r"T1.nii.gz: .*does not begin"),
    Case(
        "a picture",
        as_image(lambda: b"\x89PNG\r\n\x1a\n" + bytes(500), packed=False),
        r"T1.nii.gz: .*not compressed",
    ),
    Case("a table", as_image(lambda: b"x\ty\n" * 400), r"T1.nii.gz: .*does not begin"),
    Case("a damaged byte", damaged, r"T1.nii.gz: .*truncated or damaged"),
    Case("a file cut in its end", shortened(-4), r"T1.nii.gz: .*truncated or damaged"),
    Case("a file cut in its middle", shortened(3000), r"T1.nii.gz: .*truncated or damaged"),
    Case("a file cut in its head", shortened(15), r"T1.nii.gz: .*truncated|does not begin"),
    Case(
        "anything behind the image",
        lambda world: (world / T1).open("ab").write(b"rest"),
        r"T1.nii.gz: .*truncated or damaged",
    ),
    Case(
        "a burst that its header claims",
        burst(header(dim=dims(3, 4000, 4000, 1200))),
        r"T1.nii.gz: a volume has at most",
    ),
    Case(
        "a burst of extensions", burst(header(vox_offset=2.0**29)), r"T1.nii.gz: voxels must begin at a byte"
    ),
    Case(
        "a burst of slices", burst(header(dim=dims(3, 16000, 16000, 1))), r"T1.nii.gz: a volume has at most"
    ),
    Case(
        "NaN for voxels",
        as_image(lambda: volume(behind=np.full(1728, NAN, np.float32).tobytes())),
        r"T1.nii.gz: voxels must be finite, but 1728 of 1728",
    ),
    Case(
        "another grid",
        as_image(lambda: volume(dim=dims(3, 12, 12, 10))),
        r"sub-001/T[12].nii.gz: volumes of one participant must lie on one grid",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_that_lies_is_refused(case: Case, world: Path) -> None:
    check_refused(case, world)


HUGE = [case for case in CASES if "burst" in case.name]


@pytest.mark.parametrize("case", HUGE, ids=lambda case: case.name)
def test_nothing_large_is_allocated_for_it(case: Case, world: Path) -> None:
    """In 1 GiB of address space, of which the libraries take more than half."""
    check_refused(case, world, lambda argv: spawned(argv, memory=2**30))


def test_a_gigabyte_in_a_megabyte_is_read_in_little_memory(tmp_path: Path) -> None:
    """It could be an image; what its voxels are is told slab by slab."""
    claim = header(dim=dims(3, 1000, 1000, 250), datatype=8, bitpix=32)  # int32
    path = tmp_path / "v.nii.gz"
    path.write_bytes(gzip.compress(claim + bytes(4)) + MEBI * 16)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from data_prep.volumes import open_volume, slabs\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (400 * 2**20, 400 * 2**20))\n"
        "print(sum(slab.shape[2] for _, slab in slabs(open_volume(Path(sys.argv[1])))))"
    )
    run = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.stdout == "250\n", done.stderr


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_the_sound_file_is_read(tmp_path: Path, version: int, endianness: str) -> None:
    """Otherwise the cases would show nothing."""
    voxels = np.arange(1728, dtype=f"{endianness}f4").reshape(SHAPE, order="F")
    (tmp_path / "v.nii").write_bytes(header(version, endianness) + bytes(4) + voxels.tobytes(order="F"))
    found = open_volume(tmp_path / "v.nii")
    assert found.grid.shape == SHAPE
    assert np.array_equal(np.concatenate([slab for _, slab in slabs(found)], axis=2), voxels)


@pytest.mark.parametrize(
    "fields",
    [
        {"scl_slope": NAN},
        {"scl_slope": INF},
        {"scl_slope": 0.0},
        {"bitpix": 7},
        {"sform_code": 0, "pixdim": [7, 1, 1, 1, 0, 0, 0, 0]},
        {"sform_code": 0, "qform_code": 0, "pixdim": [1, 0, 0, 0, 0, 0, 0, 0]},
        {"pixdim": [0, -1, -1, -1, 0, 0, 0, 0]},
        {"dim": dims(7, *SHAPE)},
        {"vox_offset": 360.0},
        {"cal_max": NAN},
        {"intent_name": b"\xff" * 16},
    ],
)
def test_what_does_not_matter_is_read_as_nibabel_reads_it(tmp_path: Path, fields: dict) -> None:
    path = tmp_path / "v.nii"
    path.write_bytes(volume(**fields) + bytes(16))
    expected = np.squeeze(nib.load(path).get_fdata(dtype=np.float32))
    found = open_volume(path)
    assert np.array_equal(np.concatenate([found.scaled(s) for _, s in slabs(found)], axis=2), expected)
    np.testing.assert_allclose(found.grid.affine, nib.load(path).affine)


@pytest.mark.parametrize("esize", [16, 2**31 - 1, -16, 7, 0])
def test_extensions_are_passed_over_whatever_their_size(tmp_path: Path, esize: int) -> None:
    path = tmp_path / "v.nii.gz"
    extension = b"\1\0\0\0" + np.array([esize, 6], "<i4").tobytes() + bytes(40)
    path.write_bytes(
        gzip.compress(header(vox_offset=400.0) + extension[:52] + np.zeros(1728, "f4").tobytes())
    )
    assert [slab.shape for _, slab in slabs(open_volume(path))] == [SHAPE]


def outcome(path: Path) -> str:
    """Whether a file is read or refused, within little time and memory; anything else is raised."""
    started = time.perf_counter()
    tracemalloc.start()
    try:
        shapes = [slab.shape for _, slab in slabs(open_volume(path))]
        found = "read" if shapes else "nothing"
    except InputError as error:
        found = "\n".join(error.problems)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < FEW_MB
    assert time.perf_counter() - started < SECONDS
    return found


CHANGES = st.lists(
    st.tuples(st.integers(0, 543), st.integers(0, 255) | st.sampled_from([0, 1, 127, 128, 255])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=400)
@given(
    version=st.sampled_from([1, 2]),
    endianness=st.sampled_from("<>"),
    packed=st.booleans(),
    changes=CHANGES,
    run=st.tuples(st.integers(0, 540), st.binary(max_size=16)),
)
def test_any_bytes_in_a_header_are_read_or_refused(
    version: int, endianness: str, packed: bool, changes: list, run: tuple
) -> None:
    content = bytearray(header(version, endianness) + bytes(4 + 4 * 1728))
    for place, value in changes:
        content[place] = value
    content[run[0] : run[0] + len(run[1])] = run[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("v.nii.gz" if packed else "v.nii")
        path.write_bytes(gzip.compress(bytes(content), 1) if packed else bytes(content))
        found = outcome(path)
    assert found == "read" or (found.isprintable() and len(found) > 20)


@settings(max_examples=100)
@given(st.binary(max_size=600), st.booleans(), st.booleans())
def test_any_bytes_for_a_file_are_refused(content: bytes, packed: bool, twice: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("v.nii.gz" if packed else "v.nii")
        path.write_bytes(gzip.compress(content) if twice else content)
        assert "NIfTI" in outcome(path)


KINDS = st.sampled_from(["<", ">"])
NUMBERS = st.sampled_from([0, 1, -1, 2**15 - 1, -(2**15), 12])


@settings(max_examples=150)
@given(
    edges=st.lists(NUMBERS, min_size=8, max_size=8),
    endianness=KINDS,
    pixdim=st.lists(st.floats(width=32), min_size=8, max_size=8),
    codes=st.tuples(st.integers(-2, 5), st.integers(-2, 5)),
    quaternion=st.tuples(*[st.floats(width=32)] * 3),
)
def test_any_numbers_of_a_header_are_read_or_refused(
    edges: list, endianness: str, pixdim: list, codes: tuple, quaternion: tuple
) -> None:
    names = ("quatern_b", "quatern_c", "quatern_d")
    made = header(
        1,
        endianness,
        dim=edges,
        pixdim=pixdim,
        sform_code=codes[0],
        qform_code=codes[1],
        **dict(zip(names, quaternion, strict=True)),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.nii"
        path.write_bytes(made + bytes(4 + 4 * 1728))
        found = outcome(path)
    assert found == "read" or found.isprintable()
