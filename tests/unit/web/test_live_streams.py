from contextlib import ExitStack

import pytest

from bridge.errors import Overloaded
from bridge.web.live.streams import LiveKind, LiveStreams


def test_there_are_no_more_streams_than_may_be_and_one_that_ends_makes_room() -> None:
    streams = LiveStreams(streams_max=2)
    with streams.joined(lambda: None, LiveKind.EVENTS, client="192.0.2.1"):
        with streams.joined(lambda: None, LiveKind.EVENTS, client="192.0.2.2"):
            with (
                pytest.raises(Overloaded) as refused,
                streams.joined(lambda: None, LiveKind.EVENTS, client="192.0.2.1"),
            ):
                raise AssertionError("a third stream was let in")
            assert refused.value.retry_after_ms
            assert len(streams._farewells) == 2
        with streams.joined(lambda: None, LiveKind.EVENTS, client="192.0.2.3"):
            assert len(streams._farewells) == 2
    assert len(streams._farewells) == 0


async def test_every_stream_is_told_once_that_the_process_drains() -> None:
    streams = LiveStreams()
    told: list[str] = []
    with (
        streams.joined(lambda: told.append("a"), LiveKind.EVENTS, client="192.0.2.1"),
        streams.joined(lambda: told.append("b"), LiveKind.SOCKET, client="192.0.2.1"),
    ):
        assert told == []
        await streams.say_farewell()
        assert told == ["a", "b"]
    await streams.say_farewell()
    assert told == ["a", "b"]


async def test_a_stream_that_comes_during_the_drain_is_told_at_once() -> None:
    streams = LiveStreams()
    await streams.say_farewell()
    told: list[str] = []
    with streams.joined(lambda: told.append("late"), LiveKind.EVENTS, client="192.0.2.1"):
        assert told == ["late"]


async def test_a_stream_that_has_ended_meanwhile_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.web.live.streams._FAREWELLS_PER_TURN", 1)
    streams = LiveStreams()
    told: list[str] = []
    second = ExitStack()
    with streams.joined(second.close, LiveKind.EVENTS, client="192.0.2.1"):
        second.enter_context(
            streams.joined(lambda: told.append("second"), LiveKind.EVENTS, client="192.0.2.1")
        )
        await streams.say_farewell()
    assert told == []
