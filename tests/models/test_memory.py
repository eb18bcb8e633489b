import os
from pathlib import Path

import numpy as np

from models.memory import peak_memory_mb, resident_mb


def test_resident_memory_is_below_the_peak():
    assert 0 < resident_mb() <= peak_memory_mb()


def test_peak_memory_grows_by_what_is_held():
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    held = np.ones(60_000_000)
    assert peak_memory_mb() > resident + 0.9 * held.nbytes / 2**20
