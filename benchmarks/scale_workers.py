"""One process of many workers whose folds sleep; `benchmarks.scale_load` starts several and leads them.

A worker is a thread with all that a worker's process has of its own: a storage with its connections, signs
of life, an owner's loop, and a look for trials of the dead now and then. Theirs is `study.optimize` with
Optuna's defaults, as its documentation has it for several processes.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from optuna.storages import BaseStorage, RDBStorage

from benchmarks.scale_study import FOLDS, empty_fold
from search import slot as slots
from search.booking import reap
from search.claims import Claims
from search.crew import TIDY_SECONDS
from search.dashboard import artifact_store
from search.facts import StudyFacts
from search.fold_book import FoldBook
from search.heartbeat import Pulse, grace_of
from search.home import Home
from search.ledger import Ledger
from search.opening import slot_study
from search.patient import BEATS
from search.progress import Listener
from search.publishing import TrialPublisher
from search.records import FoldResult, TrialConfig
from search.storage import open_storage
from search.study_file import Study, read_study
from search.study_lock import Lock, lock_of
from search.suggest import sample

PICTURES = ("roc.png", "confusion.png", "held_out.png")
optuna.logging.set_verbosity(optuna.logging.ERROR)


class Seen:
    """What the workers of this process measured; safe to share between them."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.done: list[list[int]] = []
        self._changing = threading.Lock()

    def took(self, what: str, since: float) -> None:
        """Note how long something took."""
        with self._changing:
            self.seconds.setdefault(what, []).append(time.perf_counter() - since)

    def ran(self, *what: int) -> None:
        """Note what was run, to find what was run twice."""
        with self._changing:
            self.done.append(list(what))


class TimedClaims(Claims):
    """Tells how long a worker waited for a trial, and how much of that for its turn."""

    def __init__(self, seen: Seen, *args: Any) -> None:
        super().__init__(*args)
        self._seen, self._asked, self._first = seen, 0.0, True

    def __call__(self, study: Any) -> optuna.Trial | None:
        """See `Claims`."""
        self._asked = time.perf_counter()
        trial = super().__call__(study)
        if trial is not None:
            self._seen.took("first ask" if self._first else "ask", self._asked)
        self._first = False
        return trial

    def _claim(self, *args: Any) -> Any:
        self._seen.took("first turn" if self._first else "turn", self._asked)
        return super()._claim(*args)


class TimedBook(FoldBook):
    """Tells how long it takes to book a fold and report its value."""

    seen: Seen

    def add(self, split: int, value: float | None, fold: FoldResult | None = None) -> None:
        """See `FoldBook`."""
        began = time.perf_counter()
        super().add(split, value, fold)
        self.seen.took("fold", began)


class TimedSlot(slots.Slot):
    """Tells how long it takes to sample a trial, and to end it."""

    seen: Seen

    def _book(self, trial: optuna.Trial) -> Any:
        began = time.perf_counter()
        booked = super()._book(trial)
        self.seen.took("sample", began)
        return booked

    def _end(self, *args: Any) -> None:
        began = time.perf_counter()
        super()._end(*args)
        self.seen.took("tell", began)


class Sleeper:
    """A child whose folds take their time and train nothing."""

    def __init__(self, seconds: float, seen: Seen) -> None:
        self._seconds, self._seen = seconds, seen
        self._share = float(
            np.random.default_rng().uniform()
        )  # of its first trial; later ones begin spread out

    def run_fold(
        self, config: TrialConfig, split: int, on_epoch: Callable[..., None], limit: object
    ) -> FoldResult:
        """See `search.child_process.Child`."""
        time.sleep(self._seconds / FOLDS * self._share)
        self._share = self._share if split < FOLDS - 1 else 1.0
        self._seen.ran(config.seed, split)
        return empty_fold(config.seed, split)

    def close(self) -> None:
        """Nothing to end."""


class Silent(Ledger):
    """Takes what would go to MLflow, and forgets it."""

    def __getattribute__(self, name: str) -> Any:
        return (lambda *args, **named: None) if name in Ledger.__dict__ else super().__getattribute__(name)


def ours(storage: BaseStorage, study: Study, home: Home, seconds: float, seen: Seen) -> None:
    """A worker of this software: the owner's loop, its child replaced, MLflow left out, no picture drawn."""
    opened = optuna.load_study(study_name=study.name, storage=storage)
    facts, lock = StudyFacts.of(opened), lock_of(storage, home.study(study.name))
    publisher = TrialPublisher(study, facts, facts.pseudonyms, Silent(), artifact_store(home.artifacts))
    splits = [SimpleNamespace(index=split) for split in range(FOLDS)]
    material: Any = SimpleNamespace(folds=SimpleNamespace(splits=lambda: splits))
    stop, folder = threading.Event(), home.study(study.name)
    with Pulse(storage, grace_of(opened)) as pulse:
        every = min(TIDY_SECONDS, grace_of(opened) / BEATS)
        tidy = threading.Thread(target=_tidy, args=(opened, lock, every, stop, seen))
        tidy.start()
        try:
            claims = TimedClaims(seen, study.search, 1, lock, None, pulse)
            bench = slots.Bench(study, material, folder, publisher, Listener(), stop, claims)
            TimedSlot(bench, slot_study(study, storage), Sleeper(seconds, seen)).run()  # type: ignore[arg-type]
        finally:
            stop.set()
            tidy.join()


def _tidy(study: optuna.Study, lock: Lock, every: float, stop: threading.Event, seen: Seen) -> None:
    while not stop.wait(every):
        began = time.perf_counter()
        reap(study, lock)
        seen.took("tidy", began)


def theirs(storage: RDBStorage, study: Study, home: Home, seconds: float, seen: Seen) -> None:
    """Optuna alone with its defaults: nothing of a fold is kept but the value that is reported."""
    opened = _TimedStudy(study.name, storage)
    opened.seen = seen
    share = [float(np.random.default_rng().uniform())]

    def objective(trial: optuna.Trial) -> float:
        began = time.perf_counter()
        sample(trial, study.parameters)
        seen.took("sample", began)
        value = 0.0
        for split in range(FOLDS):
            time.sleep(seconds / FOLDS * share[0])
            value = float(np.random.default_rng([trial.number, split]).uniform())
            seen.ran(trial.number, split)
            began = time.perf_counter()
            trial.report(value, split)
            seen.took("fold", began)
            if trial.should_prune():
                raise optuna.TrialPruned
        share[0] = 1.0
        return value

    opened.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(study.search.trials, states=None)])


class _TimedStudy(optuna.Study):
    seen: Seen
    _asked = False

    def ask(self, *args: Any) -> optuna.Trial:
        began = time.perf_counter()
        trial = super().ask(*args)
        self.seen.took("ask" if self._asked else "first ask", began)
        self._asked = True
        return trial


def drawn(*args: Any) -> Mapping[str, Path]:
    """The pictures of every trial: drawing takes the owner's CPU, not the database's."""
    return {path.stem: path for path in (args[2].parent / name for name in PICTURES)}


def lay_pictures(home: Home, study: Study) -> None:
    """Put down what `drawn` names."""
    folder = home.study(study.name).trial(0).parent
    folder.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        (folder / name).write_bytes(b"\x89PNG")


def main() -> None:
    """Do what the lines of stdin say, each a JSON object; answer each with one."""
    url, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    home = Home.at(folder / "home")
    vars(slots).update(draw_trial=drawn, FoldBook=TimedBook)
    storages: dict[str, list[Any]] = {"ours": [], "theirs": []}
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for line in sys.stdin:
            order = json.loads(line)
            side, wanted, seen = order["side"], int(order["workers"]), Seen()
            TimedBook.seen = TimedSlot.seen = seen
            known = storages[side]
            while len(known) < wanted:
                known.append(open_storage(url, home) if side == "ours" else RDBStorage(url))
            study = read_study(folder / f"{order['study']}.toml")
            lay_pictures(home, study)
            print("ready", flush=True)
            sys.stdin.readline()
            began = time.process_time()
            work = ours if side == "ours" else theirs
            running = [
                pool.submit(work, storage, study, home, order["seconds"], seen) for storage in known[:wanted]
            ]
            problems = [repr(error) for error in (future.exception() for future in running) if error]
            answer = {"seconds": seen.seconds, "done": seen.done, "problems": problems}
            print(json.dumps(answer | {"cpu": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main()
