"""One progress bar over the maps of a cohort, which moves with every batch of voxels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def over_all(count: int) -> Iterator[Callable[[int, str], Callable[[int, int], None]]]:
    """A bar on stderr.

    Args:
        count: Of maps to draw.

    Yields:
        A function that takes the number of a map, from 0, and its name, and gives the progress of its voxels.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("drawing", total=count)

        def begin(number: int, name: str) -> Callable[[int, int], None]:
            def move(done: int, total: int) -> None:
                text = f"drawing {name}, {number + 1} of {count}: voxel {done} of {total}"
                bar.update(task, description=text, completed=number + done / max(total, 1))

            move(0, 0)
            return move

        yield begin
