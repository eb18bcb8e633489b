from __future__ import annotations

import socket
import threading

import pytest

from search.channel import Channel, ChannelClosedError


@pytest.fixture
def ends() -> tuple[Channel, Channel]:
    left, right = socket.socketpair()
    return Channel(left), Channel(right)


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    messages = [{"n": n, "text": "ä\n" * n, "x": 0.1 * n} for n in range(50)]
    for message in messages:
        ends[0].send(message)
    assert [ends[1].receive() for _ in messages] == messages


def test_a_message_larger_than_any_buffer_arrives(ends: tuple[Channel, Channel]) -> None:
    message = {"values": list(range(300_000))}
    writer = threading.Thread(target=ends[0].send, args=(message,))
    writer.start()
    assert ends[1].receive() == message
    writer.join()


def test_waiting_ends_after_the_timeout_without_losing_a_half_message(ends: tuple[Channel, Channel]) -> None:
    ends[0]._socket.sendall(b'{"a": ')
    assert ends[1].receive(timeout=0.05) is None
    ends[0]._socket.sendall(b"1}\n")
    assert ends[1].receive(timeout=5) == {"a": 1}


def test_a_closed_end_is_an_error_and_not_a_hang(ends: tuple[Channel, Channel]) -> None:
    ends[0].close()
    with pytest.raises(ChannelClosedError, match="the other side is gone"):
        ends[1].receive()
    with pytest.raises(ChannelClosedError, match="the other side is gone"):
        ends[1].send({"a": 1})
