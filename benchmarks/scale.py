"""How far a study carries: 10,000 trials, and 200 workers on one PostgreSQL.

    python -m benchmarks.scale                  the ends of each scale: about ten minutes
    python -m benchmarks.scale --long           all of it; the loads of workers alone take half an hour
    python -m benchmarks.scale --only workers   one part: owner, workers or queue

`owner`: what a trial costs the study manager in a study that has many already (`scale_owner`).
`workers`: what asking and telling takes workers whose folds sleep, beside `study.optimize` on the same
server, and whether any fold is run twice or any trial too many (`scale_load`, `scale_workers`).
`queue`: 200 workers that find 200 trials waiting.

PostgreSQL is started for it, as installed but for `max_connections`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.scale_load import Crew, Level, Load, ratios, run_level, table
from tests.postgresql import Cluster, cluster

PARTS = ("owner", "workers", "queue")
CONNECTIONS = 700
OWNER_TRIALS = 20  # that are run and timed at each size
SIZES = {False: (100, 10_000), True: (100, 1_000, 3_000, 10_000)}
SAMPLERS = {False: ("random",), True: ("random", "tpe")}
# Workers, seconds a trial, trials. The last one asks for more trials a second than two cores can serve.
LOADS = {
    False: ((1, 1.0, 10), (10, 5.0, 40), (50, 15.0, 150), (200, 45.0, 400)),
    True: (
        *((1, 10.0, 6), (10, 10.0, 60), (50, 10.0, 250), (100, 60.0, 200)),
        *((200, 120.0, 400), (200, 60.0, 600), (200, 30.0, 800)),
    ),
}
BESIDE = {False: ((200, 45.0, 400),), True: ((10, 10.0, 60), (200, 60.0, 600))}
QUEUE = (200, 10.0, 200)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", action="store_true", help="every size and load, both samplers")
    parser.add_argument("--only", choices=PARTS, help="one part")
    options = parser.parse_args()
    parts = (options.only,) if options.only else PARTS
    with cluster(fsync="on", max_connections=str(CONNECTIONS)) as server:
        if server is None:
            sys.exit("PostgreSQL is not installed: its initdb and postgres are looked for on the path")
        for part in parts:
            print(f"\n{part}\n" + "\n".join(RUN[part](server, options.long)), flush=True)


def owner(server: Cluster, is_long: bool) -> list[str]:
    """What a trial costs its owner, by the number of trials before it."""
    head = "trials before | storage, sampler | s a trial | CPU ms a trial | of it the slot's thread, pictures"
    head += " | sampler's CPU ms beside that | start s, CPU s | first look at all, CPU s | resident MiB"
    lines = [f"| {head} |", "| --- " * (head.count("|") + 1) + "|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, url in (("journal", ""), ("postgresql", server.new_database())):
            place = Path(folder) / name
            place.mkdir()
            for size in SIZES[is_long]:
                for already, sampler in enumerate(SAMPLERS[is_long]):
                    before = size + already * OWNER_TRIALS
                    in_a_process(place, url, "prepare", before)
                    told = json.loads(in_a_process(place, url, sampler, before, OWNER_TRIALS))
                    cells = [f"{before}", f"{name}, {sampler}", f"{told['wall']:.2f}"]
                    cells += [f"{1000 * told['cpu']:.0f}"]
                    cells += [f"{1000 * told['slot_cpu']:.0f}, {1000 * told['drawing']:.0f}"]
                    cells += [
                        f"{1000 * told['sampling']:.0f}",
                        f"{told['start']:.1f}, {told['start_cpu']:.1f}",
                    ]
                    cells += [f"{max(0.0, told['first_cpu']):.1f}", f"{told['resident_mb']:.0f}"]
                    lines.append("| " + " | ".join(cells) + " |")
                    note(lines[-1])
    return lines


def in_a_process(*arguments: object) -> str:
    """Run `benchmarks.scale_owner`; the last line that it prints."""
    command = [sys.executable, "-m", "benchmarks.scale_owner", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[2:])} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip().rpartition("\n")[2]


def workers(server: Cluster, is_long: bool) -> list[str]:
    """What asking and telling takes, by the number of workers; and beside it what Optuna alone takes."""
    levels = [Level("ours", *load) for load in LOADS[is_long]]
    levels += [Level("theirs", *load) for load in BESIDE[is_long]]
    loads = run(server, levels)
    lines = table(loads)
    for load in BESIDE[is_long]:
        pair = [found for found in loads if found.level in (Level("ours", *load), Level("theirs", *load))]
        told = ", ".join(f"{what} {ratio:.2f}" for what, ratio in ratios(pair).items())
        lines.append(f"{load[0]} workers, {load[1]:g} s a trial, theirs / ours at the median: {told}")
    return lines


def queue(server: Cluster, is_long: bool) -> list[str]:
    """Workers that all find trials waiting."""
    sides = ("ours", "theirs") if is_long else ("ours",)
    loads = run(server, [Level(side, *QUEUE, waiting=True) for side in sides])
    lines = table(loads)
    for load in loads:
        last = load.quantile("first ask", 1.0) / 1000
        lines.append(
            f"{load.level.side}: {load.run} of {load.level.trials} handed out, the last after {last:.1f} s"
        )
    return lines


def run(server: Cluster, levels: Sequence[Level]) -> list[Load]:
    """Run loads one after the other, in one database."""
    with tempfile.TemporaryDirectory() as folder, crew_of(server, Path(folder), levels) as (crew, url):
        loads = []
        for level in levels:
            loads.append(run_level(crew, server, url, Path(folder), level))
            note(table(loads)[-1])
    return loads


@contextmanager
def crew_of(server: Cluster, folder: Path, levels: Sequence[Level]) -> Iterator[tuple[Crew, str]]:
    """The processes for some loads, and the address of their database."""
    url = server.new_database()
    with ExitStack() as stack:
        crew = Crew(url, folder, max(level.workers for level in levels))
        stack.callback(crew.close)
        yield crew, url


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


RUN = {"owner": owner, "workers": workers, "queue": queue}

if __name__ == "__main__":
    main()
