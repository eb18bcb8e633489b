import errno
import fcntl
import os
import signal
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from data_prep.cache import cache_key, load_patches
from data_prep.cohort import read_cohort
from data_prep.patches import PatchRequest, extract_patches
from data_prep.problems import InputError

REQUEST = PatchRequest(("T1", "T2"), 3)


def forbid_volumes(monkeypatch):
    monkeypatch.setattr(nib, "load", lambda path: pytest.fail(f"opened {path}"))


def test_a_second_start_opens_no_volume(cohort_folder, tmp_path, monkeypatch):
    first = load_patches(read_cohort(cohort_folder), REQUEST, tmp_path / "cache")
    forbid_volumes(monkeypatch)
    second = load_patches(read_cohort(cohort_folder), REQUEST, tmp_path / "cache")
    assert second.hash == first.hash
    assert isinstance(second.raw, np.memmap)
    assert np.array_equal(second.images(2), first.images(2))


def test_cached_patches_equal_extracted_ones(cohort_folder, tmp_path):
    cohort = read_cohort(cohort_folder)
    assert load_patches(cohort, REQUEST, tmp_path).hash == extract_patches(cohort, REQUEST).hash


def test_nothing_but_the_entry_is_left_behind(cohort_folder, tmp_path):
    cohort = read_cohort(cohort_folder)
    load_patches(cohort, REQUEST, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cache_key(cohort, REQUEST)]


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "index", "shape"])
def test_a_damaged_entry_is_rebuilt(cohort_folder, tmp_path, damage):
    cohort = read_cohort(cohort_folder)
    good = load_patches(cohort, REQUEST, tmp_path / "cache").hash
    entry = tmp_path / "cache" / cache_key(cohort, REQUEST)
    content = bytearray((entry / "raw.npy").read_bytes())
    if damage == "flip":
        content[-5] ^= 1
        (entry / "raw.npy").write_bytes(content)
    elif damage == "truncate":
        (entry / "raw.npy").write_bytes(content[:-100])
    elif damage == "delete":
        (entry / "mean.npy").unlink()
    elif damage == "index":
        (entry / "patches.json").write_text("{")
    else:
        np.save(entry / "present.npy", np.ones((2, 2), bool))
    again = load_patches(cohort, REQUEST, tmp_path / "cache")
    assert again.hash == good
    assert (entry / "raw.npy").stat().st_size == len(content)


def test_a_changed_image_gives_another_entry(cohort_folder):
    before = cache_key(read_cohort(cohort_folder), REQUEST)
    os.utime(cohort_folder / "sub-001" / "T2.nii.gz", ns=(1, 1))
    assert cache_key(read_cohort(cohort_folder), REQUEST) != before


def test_another_site_or_request_gives_another_entry(cohort_folder):
    cohort = read_cohort(cohort_folder)
    requests = [
        REQUEST,
        PatchRequest(("T1", "T2"), 4),
        PatchRequest(("T2", "T1"), 3),
        PatchRequest(("T1",), 3),
        PatchRequest(("T1", "T2"), 3, slices=3),
        PatchRequest(("T1", "T2"), 3, slices=3, slice_mm=2.0),
        PatchRequest(("T1", "T2"), 3, spacing_mm=1.0),
        PatchRequest(("T1", "T2"), 3, resample_to="T1"),
        PatchRequest(("T1", "T2"), 3, resample_to="T2"),
        PatchRequest(("T1", "T2"), 3, normalisation=("none", "zscore")),
    ]
    keys = {cache_key(cohort, request) for request in requests}
    table = cohort_folder / "biopsies.tsv"
    table.write_text(table.read_text().replace("b03", "b99"))
    assert len(keys | {cache_key(read_cohort(cohort_folder), REQUEST)}) == len(requests) + 1


def test_the_reference_tells_even_if_it_is_no_channel(cohort_folder):
    request = PatchRequest(("T1",), 3, resample_to="T2")
    before = cache_key(read_cohort(cohort_folder), request)
    os.utime(cohort_folder / "sub-001" / "T2.nii.gz", ns=(1, 1))
    assert cache_key(read_cohort(cohort_folder), request) != before


def test_which_mask_is_which_tells(cohort_folder, tmp_path):
    """The same files in other roles: z-scores of the brain must not be served for those of the tumour."""
    toml = (cohort_folder / "cohort.toml").read_text()
    for participant in range(4):
        folder = cohort_folder / f"sub-{participant:03}"
        image = nib.load(folder / "T1.nii.gz")
        mask = np.zeros(image.shape, np.uint8)
        mask[:6] = 1
        nib.save(nib.Nifti1Image(mask, image.affine), folder / "low.nii.gz")
        nib.save(nib.Nifti1Image(1 - mask, image.affine), folder / "high.nii.gz")
    cohorts = []
    for declared in ({"brain": "low", "tumor": "high"}, {"brain": "high", "tumor": "low"}, {"brain": "low"}):
        lines = [f'{role} = "{{participant_id}}/{file}.nii.gz"' for role, file in declared.items()]
        (cohort_folder / "cohort.toml").write_text("\n".join([toml, "[masks]", *lines, ""]))
        cohorts.append(read_cohort(cohort_folder))
        served = load_patches(cohorts[-1], REQUEST, tmp_path / "cache")
        assert served.hash == extract_patches(cohorts[-1], REQUEST).hash
    assert len({cache_key(cohort, REQUEST) for cohort in cohorts}) == 3


def test_the_order_of_sequences_tells_as_the_first_may_tell_the_grid(cohort_folder):
    before = cache_key(read_cohort(cohort_folder), REQUEST)
    path = cohort_folder / "cohort.toml"
    path.write_text(path.read_text().replace("['T1', 'T2']", "['T2', 'T1']"))
    assert cache_key(read_cohort(cohort_folder), REQUEST) != before


def test_a_cohort_that_moved_keeps_its_entry(cohort_folder, tmp_path):
    before = cache_key(read_cohort(cohort_folder), REQUEST)
    moved = cohort_folder.rename(tmp_path / "elsewhere")
    assert cache_key(read_cohort(moved), REQUEST) == before


def test_a_broken_cohort_writes_nothing(cohort_folder, tmp_path):
    path = cohort_folder / "sub-000" / "T1.nii.gz"
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"sub-000/T1\.nii\.gz: the volume must be readable"):
        load_patches(read_cohort(cohort_folder), REQUEST, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_a_problem(cohort_folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the cache must be writable"):
        load_patches(read_cohort(cohort_folder), REQUEST, tmp_path / "file" / "cache")


@pytest.mark.parametrize("size", [0, 64, 200, 3000])
def test_a_full_disk_is_named_and_leaves_nothing(cohort_folder, tmp_path, files_end_at, size):
    cohort = read_cohort(cohort_folder)
    files_end_at(size)
    with pytest.raises(OSError, match="File too large") as caught:
        load_patches(cohort, REQUEST, tmp_path / "cache")
    files_end_at(None)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename.startswith(str(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from data_prep import cache
from data_prep.cohort import read_cohort
from data_prep.patches import PatchRequest
cache.np.lib.format.write_array = lambda *_, **__: os.kill(os.getpid(), 9)
cache.load_patches(read_cohort(Path(sys.argv[1])), PatchRequest(("T1", "T2"), 3), Path(sys.argv[2]))
"""


def test_what_a_killed_writer_left_goes_at_the_next_write(cohort_folder, tmp_path):
    cache = tmp_path / "cache"
    command = [sys.executable, "-P", "-c", KILLED, str(cohort_folder), str(cache)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert [path.name[:5] for path in cache.iterdir()] == [".new-"]
    load_patches(read_cohort(cohort_folder), REQUEST, cache)
    assert [path.name for path in cache.iterdir()] == [cache_key(read_cohort(cohort_folder), REQUEST)]


def test_what_a_living_writer_has_begun_stays(cohort_folder, tmp_path):
    begun = tmp_path / "cache" / ".new-of-another"
    begun.mkdir(parents=True)
    descriptor = os.open(begun, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    load_patches(read_cohort(cohort_folder), REQUEST, tmp_path / "cache")
    assert begun.is_dir()
    os.close(descriptor)
