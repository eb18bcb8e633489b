"""Whether a model folder says what its members said when they were fitted: asked again by a fresh process.

Run as `python -P -m search.deployment.verification`; the request comes on its standard input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.features import load_features
from data_prep.problems import InputError
from models.device import child_environment
from models.errors import ModelError
from search.deployment.facts import MemberEntry
from search.deployment.member import Member
from search.deployment.model import Model
from search.deployment.plan import RefitPlan
from search.deployment.records import Said, Shown
from search.errors import StudyStoppedError
from search.home import Home
from search.material import Material, prepare
from search.placement import Placement
from search.records import FoldResult
from search.refits.fit import Fit
from search.refits.ledger import FitLedger
from search.specs import is_baseline
from search.study_file import Study

COMMAND: Final = (sys.executable, "-P", "-m", "search.deployment.verification")

NETWORK_TOLERANCE: Final = 1e-5
"""By which a network's probability may differ: batches of other sizes add up in another order."""

REDUCED_TOLERANCE: Final = 1e-2
"""The same where it computes with fewer bits: in bfloat16, or on a GPU, whose products may have as few."""

Progress = Callable[[int, int], None]


class OtherwiseError(StudyStoppedError):
    """Members of a model folder say otherwise than they did when they were fitted.

    Attributes:
        fits: That made them.
    """

    def __init__(self, message: str, fits: Sequence[Fit]) -> None:
        super().__init__(message)
        self.fits = tuple(fits)


@dataclass(frozen=True)
class Verification:
    """What came out.

    Attributes:
        members: How many were asked, those that learned from all biopsies.
        biopsies: How many places.
        largest: The largest difference of a probability.
        tolerance: What it may be of a network; a shallow model must say the same to the last bit.
    """

    members: int
    biopsies: int
    largest: float
    tolerance: float

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)


def verify(
    folder: Path,
    plan: RefitPlan,
    ledger: FitLedger,
    home: Home,
    placement: Placement,
    progress: Progress | None = None,
) -> Verification:
    """Open a model folder in a fresh process and have its members say the training biopsies again.

    Args:
        folder: As `folder.build` wrote it.
        plan: What it was made of.
        ledger: Has what the fits gave.
        home: Whose cache has the patches.
        placement: Where the process runs.
        progress: Called with members asked and in all.

    Raises:
        OtherwiseError: Members say otherwise than they did.
        StudyStoppedError: The process died.
        InputError: The folder cannot be opened, or the cohort was changed meanwhile.
    """
    request = {
        "folder": str(folder.absolute()),
        "study": plan.study.to_json(),
        "home": str(home.root),
        "cache": str(home.cache),
        "material": plan.material.hash,
    }
    entries = Model.open(folder).facts.members_of(None)
    fits = [fit for fits in plan.final for fit in fits]
    if [entry.fit for entry in entries] != [fit.key for fit in fits]:
        raise StudyStoppedError(f"{folder}: members of the fits of this plan are needed, but it has others")
    told = _ask(request, placement, progress or (lambda done, total: None))
    tolerance = _tolerance(plan.study, placement)
    found = [
        _compare(*row, 0.0 if is_baseline(row[1].config.settings) else tolerance, ledger)
        for row in zip(entries, fits, told, strict=True)
    ]
    problems = [problem for _, problem in found if problem]
    if problems:
        raise OtherwiseError(
            f"a model must say what it said when it was fitted, but {'; '.join(problems)}",
            [fit for fit, (_, problem) in zip(fits, found, strict=True) if problem],
        )
    largest = max(difference for difference, _ in found)
    return Verification(len(found), len(plan.material.patches), largest, tolerance)


def _tolerance(study: Study, placement: Placement) -> float:
    is_reduced = placement.gpu is not None or study.training.compute.precision != "float32"
    return REDUCED_TOLERANCE if is_reduced else NETWORK_TOLERANCE


def _compare(
    entry: MemberEntry, fit: Fit, said: Said, tolerance: float, ledger: FitLedger
) -> tuple[float, str | None]:
    """The largest difference of a probability, and what is wrong with it."""
    result = ledger.result(fit)
    if result is None:
        return np.inf, f"{entry.folder} is of a fit that gave nothing"
    largest = float(np.abs(said.probability[list(result.rows)] - _booked(result)).max())
    if not largest <= tolerance:
        return largest, f"probabilities of {entry.folder} differ by up to {largest:.2g}"
    return largest, None


def _booked(result: FoldResult) -> DoubleArray:
    """Probabilities of each label, shape (m, K)."""
    further = [head["probabilities"] for head in result.heads.values()]
    return np.array([result.probabilities, *further], dtype=np.float64).T


def _ask(request: Mapping[str, Any], place: Placement, progress: Progress) -> list[Said]:
    """What each member says, from a fresh process.

    Raises:
        InputError: The model or the cohort is not what it must be.
        StudyStoppedError: The process died.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= child_environment(place.threads, place.gpu, place.inter)
    with tempfile.TemporaryFile("w+", errors="replace") as log, _started(environment, log) as process:
        answer = _talk(process, request, progress)
        code = process.wait()
        log.seek(0)
        last = next(iter(reversed(log.read().strip().splitlines())), "")
    if answer is None:
        raise StudyStoppedError(
            f"the process that asks the model again ended with {code}: {last}".rstrip(": ")
        )
    if "problems" in answer:
        raise InputError(answer["problems"])
    return [Said(np.array(told, dtype=np.float64)) for told in answer["probabilities"]]


@contextmanager
def _started(environment: Mapping[str, str], log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which ends with the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        COMMAND, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _talk(
    process: subprocess.Popen[str], request: Mapping[str, Any], progress: Progress
) -> dict[str, Any] | None:
    """Send the request and read lines until the answer; None where there is none."""
    if process.stdin is None or process.stdout is None:
        return None
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(request))
        process.stdin.close()
    for line in process.stdout:
        try:
            told = json.loads(line)
        except ValueError:
            continue  # what a library prints
        if isinstance(told, dict) and "done" in told:
            progress(told["done"], told["total"])
        elif isinstance(told, dict):
            return told
    return None


def main() -> None:
    """Answer one request: a line for each member that was asked, at last what all of them said."""
    request = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        answer = {"probabilities": [said.probability.tolist() for said in _say_again(request)]}
    except InputError as error:
        answer = {"problems": list(error.problems)}
    except ModelError as error:
        answer = {"problems": [str(error)]}
    _tell(answer)


def _say_again(request: Mapping[str, Any]) -> Iterator[Said]:
    """What each member that learned from all biopsies says of them; one is in memory at a time."""
    study, home = Study.from_json(request["study"]), Home(Path(request["home"]), Path(request["cache"]))
    model, material = Model.open(Path(request["folder"])), prepare(study, home, frozen=True)
    if material.hash != request["material"]:
        raise InputError("cohort: the cohort changed while the model was made")
    entries = model.facts.members_of(None)
    for done, entry in enumerate(entries):
        _tell({"done": done, "total": len(entries)})
        member = Member.open(model.folder / entry.folder)
        yield member.say(_shown(material, home, member.reads_location))
    _tell({"done": len(entries), "total": len(entries)})


def _shown(material: Material, home: Home, located: bool) -> Shown:
    """The training biopsies, by the patches that the study's home keeps."""
    if not located:
        return Shown(material.patches)
    return Shown(
        material.patches, load_features("location", material.source, material.patches, 0, home.cache)
    )


def _tell(message: Mapping[str, Any]) -> None:
    sys.stdout.write("\n" + json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
