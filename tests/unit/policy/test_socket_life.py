import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy.socket_life import Sign, SocketLife


def life(now_s: float = 0.0) -> SocketLife:
    return SocketLife(now_s, ask_after_s=20, stalled_after_s=30, idle_after_s=300)


def looked(
    socket: SocketLife, now_s: float, *, listening: bool = True, in_use: bool = True, waiting_bytes: int = 0
) -> Sign:
    return socket.look(now_s, listening=listening, in_use=in_use, waiting_bytes=waiting_bytes)


def test_a_silent_socket_is_asked_once_and_then_given_up() -> None:
    socket = life()
    signs = [looked(socket, now_s) for now_s in (19.9, 20, 25, 39.9, 40)]
    assert signs == [Sign.FINE, Sign.ASK, Sign.FINE, Sign.FINE, Sign.SILENT]


def test_a_word_at_any_time_begins_the_silence_anew() -> None:
    socket = life()
    assert looked(socket, 20) is Sign.ASK
    socket.heard(39)
    assert looked(socket, 40) is Sign.FINE
    assert looked(socket, 59) is Sign.ASK


def test_a_socket_that_was_never_asked_is_not_given_up() -> None:
    # The process stood still: nobody could have answered.
    assert looked(life(), 1000) is Sign.ASK


def test_what_nobody_listened_to_is_no_silence() -> None:
    socket = life()
    assert looked(socket, 100, listening=False) is Sign.FINE
    assert looked(socket, 119) is Sign.FINE
    assert looked(socket, 120) is Sign.ASK


@pytest.mark.parametrize("listening", [True, False])
def test_a_socket_that_takes_nothing_is_stalled_whether_it_speaks_or_not(listening: bool) -> None:
    socket = life()
    assert looked(socket, 0, waiting_bytes=1000, listening=listening) is Sign.FINE
    socket.heard(29)
    assert looked(socket, 29, waiting_bytes=1000, listening=listening) is Sign.FINE
    assert looked(socket, 30, waiting_bytes=1200, listening=listening) is Sign.STALLED


def test_a_byte_taken_is_a_sign_that_the_rest_will_be() -> None:
    socket = life()
    for now_s in range(0, 300, 10):
        socket.heard(now_s)
        assert looked(socket, now_s, waiting_bytes=1000 - now_s) is Sign.FINE


def test_a_socket_without_use_is_idle_whatever_signs_of_life_it_gives() -> None:
    socket = life()
    for now_s in range(0, 300, 10):
        socket.heard(now_s)
        assert looked(socket, now_s, in_use=False) is Sign.FINE
    socket.heard(300)
    assert looked(socket, 300, in_use=False) is Sign.IDLE


def test_an_operation_or_a_subscription_is_a_use() -> None:
    socket = life()
    socket.used(200)
    socket.heard(499)
    assert looked(socket, 499, in_use=False) is Sign.FINE
    assert looked(socket, 499, in_use=True) is Sign.FINE
    socket.heard(798)
    assert looked(socket, 798, in_use=False) is Sign.FINE
    assert looked(socket, 799, in_use=False) is Sign.IDLE


@given(steps=st.lists(st.tuples(st.floats(0.1, 5.0), st.booleans()), min_size=1, max_size=100))
def test_whoever_answers_every_question_is_never_given_up(steps: list[tuple[float, bool]]) -> None:
    socket, now_s = life(), 0.0
    for step_s, speaks in steps:
        now_s += step_s
        if speaks:
            socket.heard(now_s)
        sign = looked(socket, now_s)
        assert sign in (Sign.FINE, Sign.ASK)
        if sign is Sign.ASK:
            socket.heard(now_s)
