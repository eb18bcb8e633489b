"""Cohorts for tests: a synthetic one of a second, and the real ones where they are at hand."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import settings
from scipy.ndimage import gaussian_filter

from tests.postgresql import Cluster, cluster
from tests.ray_head import Head, head

MakeCohort = Callable[..., Path]

# Machines share their cores, so there is no deadline; the same examples on each run, so none fails by chance.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


@pytest.fixture(scope="session")
def shared_cohort() -> Callable[[str], Path]:
    """Folder of a real cohort by name; the test is skipped where there is none."""
    root = Path(os.environ.get("RADSEARCH_SHARED", Path(__file__).parents[2] / "shared" / "data"))

    def find(name: str) -> Path:
        if not (root / name / "cohort.toml").is_file():
            pytest.skip(f"the cohort {name} is not at hand; RADSEARCH_SHARED can name its parent folder")
        return root / name

    return find


@pytest.fixture(scope="session")
def make_cohort() -> MakeCohort:
    return write_cohort


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server of the session; skips where none is installed. Who kills it starts it again."""
    with cluster() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed: its initdb and postgres are looked for on the path")
        yield server


@pytest.fixture
def database(postgres: Cluster) -> str:
    """The address of an empty database of PostgreSQL, password included."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def ray_head() -> Iterator[Head]:
    """A Ray cluster of the session, which this process may join; skips where Ray is not installed."""
    with head() as found, pytest.MonkeyPatch.context() as patch:
        if found is None:
            pytest.skip("Ray is not installed: pip install 'radsearch[ray]'")
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture
def files_end_at() -> Iterator[Callable[[int | None], None]]:
    """Sets where files must end, None for no limit: it refuses the middle of a write, as a full disk does."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(
        resource.RLIMIT_FSIZE, before if size is None else (size, before[1])
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def cohort_folder(tmp_path: Path) -> Path:
    """A small sound cohort: 4 participants, 8 biopsies, T1 and T2, 12 voxels an edge, world coordinates."""
    return write_cohort(tmp_path / "cohort", participants=4, biopsies=8, sequences=("T1", "T2"), size=12)


def write_cohort(
    folder: Path,
    participants: int = 12,
    biopsies: int = 36,
    sequences: tuple[str, ...] = ("T1", "T1Gd", "T2"),
    size: int = 24,
    space: str = "world",
    missing: Collection[tuple[int, str]] = (),
    genes: tuple[str, ...] = ("CD3D", "CD3E"),
    seed: int = 0,
) -> Path:
    """Write a cohort whose genes follow the local intensity of the first sequence.

    `missing` holds (participant, sequence) pairs without a file; no `genes` gives no expression table. World
    coordinates are voxel indices minus size / 2. Participant i is sub-00i; biopsy k is of k % participants.
    """
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, 3] = -size / 2
    owners = np.arange(biopsies) % participants
    sites = rng.integers(3, size - 3, size=(biopsies, 3))
    signal = np.zeros(biopsies)
    for participant in range(participants):
        for sequence in sequences:
            field = gaussian_filter(rng.normal(size=(size,) * 3), 2.0) * 1000 + 500
            if sequence == sequences[0]:
                mine = owners == participant
                signal[mine] = (field[tuple(sites[mine].T)] - 500) / field.std()
            if (participant, sequence) not in missing:
                path = folder / f"sub-{participant:03}" / f"{sequence}.nii.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(field.astype(np.float32), affine), path)
    positions = sites - size / 2 if space == "world" else sites
    rows = [[f"b{k:02}", f"sub-{owners[k]:03}", *positions[k]] for k in range(biopsies)]
    write_tsv(folder / "biopsies.tsv", ["biopsy_id", "participant_id", "x", "y", "z"], rows)
    lines = [
        'name = "toy"',
        'images = "{participant_id}/{sequence}.nii.gz"',
        f"sequences = {list(sequences)}",
        'biopsies = "biopsies.tsv"',
    ]
    if genes:
        tpm = np.exp(signal[:, None] + 0.1 * rng.normal(size=(biopsies, len(genes))))
        rows = [[row[0], *values] for row, values in zip(rows, tpm, strict=True)]
        write_tsv(folder / "expression.tsv", ["biopsy_id", *genes], rows)
        lines.append('expression = "expression.tsv"')
    (folder / "cohort.toml").write_text("\n".join([*lines, "", "[coordinates]", f'space = "{space}"', ""]))
    return folder


def write_tsv(path: Path, header: list[str], rows: list[list[object]]) -> None:
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in [header, *rows]))
