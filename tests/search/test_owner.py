from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

from search.owner import Owner


def test_this_process_is_alive_and_its_identity_survives_its_text() -> None:
    owner = Owner.of()
    assert owner.pid == os.getpid()
    assert Owner.parse(str(owner)) == owner
    assert not owner.is_dead


def test_a_process_that_ended_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(process.pid)
    assert not owner.is_dead
    process.communicate(b"\n")
    assert owner.is_dead


def test_a_later_process_with_the_same_number_is_not_taken_for_it() -> None:
    assert dataclasses.replace(Owner.of(), start=1).is_dead


def test_an_owner_from_before_a_restart_is_dead() -> None:
    assert dataclasses.replace(Owner.of(), boot="another-boot").is_dead


def test_an_owner_on_another_machine_is_not_judged() -> None:
    assert not dataclasses.replace(Owner.of(), host="node17", pid=1, start=1).is_dead
