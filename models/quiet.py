"""What TensorFlow writes while it loads is kept from people who asked for something else."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Hold back what is written to the process' standard error, by code in C++ too; told if the block fails.

    TensorFlow 2.21 says how it was built before it looks at `TF_CPP_MIN_LOG_LEVEL`. Other threads are held
    back as well, so the block should do nothing but import.
    """
    sys.stderr.flush()
    kept = os.dup(STDERR)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), STDERR)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, STDERR)
            os.close(kept)
