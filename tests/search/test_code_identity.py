from __future__ import annotations

import numpy
import optuna
import pytest

from data_prep.problems import InputError
from search import code_identity as codes
from search.booking import at_work
from search.code_identity import CODE, book_code, check_code, check_workers, code_identity
from search.errors import StudyStoppedError
from search.owner import Owner

OLDER = {"numpy": "1.0"}


def test_the_identity_names_what_trains_and_hashes_our_source() -> None:
    found = code_identity()
    assert (found["numpy"], found["optuna"]) == (numpy.__version__, optuna.__version__)
    assert found.keys() == {*codes.PACKAGES, "python", "source"}
    assert len(found["source"]) == 64


def test_a_machine_with_the_other_build_of_tensorflow_has_the_same_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def identity_with(name: str) -> dict[str, str]:
        def version(asked: str) -> str:
            if asked.startswith("tensorflow") and asked != name:
                raise codes.PackageNotFoundError
            return "2.21.0" if asked == name else "1"

        monkeypatch.setattr(codes, "version", version)
        return codes.code_identity.__wrapped__()

    assert identity_with("tensorflow") == identity_with("tensorflow-cpu")
    assert identity_with("tensorflow-cpu") != identity_with("none")


def test_a_worker_with_other_code_is_refused_a_line_a_difference(empty_study: optuna.Study) -> None:
    with pytest.raises(InputError, match="none is booked; `radsearch run` with this version books it"):
        check_code(empty_study)
    empty_study.set_user_attr(CODE, code_identity())
    check_code(empty_study)
    empty_study.set_user_attr(CODE, code_identity() | OLDER | {"source": "0" * 64})
    with pytest.raises(InputError) as caught:
        check_code(empty_study)
    numpy_line, source_line = caught.value.problems
    assert f"but numpy 1.0 there, {numpy.__version__} here" in numpy_line
    assert "radsearch's source files (sha256 000000000000) there, others (sha256 " in source_line


def run_by(study: optuna.Study, owner: Owner) -> None:
    study.ask().set_user_attr("owner", str(owner))


def test_a_run_may_bring_other_code_unless_others_are_at_work(empty_study: optuna.Study) -> None:
    here, told = Owner.of(), list[str]()
    empty_study.set_user_attr(CODE, code_identity() | OLDER)
    run_by(empty_study, here)
    run_by(empty_study, Owner(here.host, here.boot, 2**22 + 1, 1))
    check_workers(empty_study)  # one is our own, one of a dead process
    book_code(empty_study, told.append)
    assert empty_study.user_attrs[CODE] == code_identity()
    (line,) = told
    assert f"numpy 1.0 there, {numpy.__version__} here" in line
    book_code(empty_study, told.append)
    assert len(told) == 1

    run_by(empty_study, Owner("node7", "boot", 1, 1))
    check_workers(empty_study)  # the same code
    empty_study.set_user_attr(CODE, code_identity() | OLDER)
    with pytest.raises(InputError, match=r"code: must be that of its workers on node7, but numpy 1\.0 there"):
        check_workers(empty_study)


def test_only_trials_of_others_that_may_be_alive_count_as_work(empty_study: optuna.Study) -> None:
    here = Owner.of()
    for owner in (here, Owner("node7", "boot", 1, 1), Owner(here.host, "another boot", 1, 1)):
        run_by(empty_study, owner)
    empty_study.ask()  # which nobody has signed
    assert [trial.number for trial in at_work(empty_study)] == [1]


def test_no_trial_is_taken_up_once_the_study_goes_on_by_other_code() -> None:
    codes.stop_if_outdated("s", {})
    codes.stop_if_outdated("s", {CODE: code_identity()})
    with pytest.raises(StudyStoppedError, match=r"this process has left it: numpy 1\.0 there"):
        codes.stop_if_outdated("s", {CODE: code_identity() | OLDER})
