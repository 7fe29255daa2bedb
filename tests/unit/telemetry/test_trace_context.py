import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import TRACE_STATE_CHARS_MAX
from bridge.telemetry.trace_context import TraceContext, trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_parent_is_handed_on_as_it_came() -> None:
    found = trace_context([PARENT], [])
    assert found == TraceContext(TRACE, SPAN, "01")
    assert found.is_sampled
    assert found.headers() == {"traceparent": PARENT}


def test_what_vendors_wrote_goes_along() -> None:
    found = trace_context([PARENT], ["rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE", "", "a@b=c d"])
    assert found is not None
    assert found.headers() == {
        "traceparent": PARENT,
        "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,a@b=c d",
    }


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        PARENT.upper(),
        f" {PARENT}",
        f"{PARENT}-",
        f"{PARENT}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"01-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE}-{SPAN}-01\n",
        "\ud800" + PARENT[1:],
    ],
)
def test_a_broken_parent_is_as_none(parent: str) -> None:
    assert trace_context([parent], ["a=b"]) is None


def test_two_parents_are_as_none() -> None:
    assert trace_context([PARENT, PARENT], []) is None
    assert trace_context([], ["a=b"]) is None


def test_of_a_later_version_only_what_this_one_knows_is_handed_on() -> None:
    for later in (f"01-{TRACE}-{SPAN}-ff-what-it-adds", f"cc-{TRACE}-{SPAN}-01"):
        found = trace_context([later], [])
        assert found is not None
        assert found.headers() == {"traceparent": PARENT}
    unsampled = trace_context([f"cc-{TRACE}-{SPAN}-02"], [])
    assert unsampled is not None
    assert not unsampled.is_sampled


@pytest.mark.parametrize(
    "state", ["a", "A=b", "a=", "a=b=c", "a=\u00e9", "=b", "a=b ", ",".join(["a=b"] * 33)]
)
def test_a_broken_state_is_dropped_and_the_trace_goes_on(state: str) -> None:
    found = trace_context([PARENT], [state])
    assert found is not None
    assert found.state in {"", "a=b"}
    assert found.state == "" or state == "a=b "


def test_of_a_long_state_the_long_members_go_first_and_then_the_oldest() -> None:
    short = [f"k{number}={'x' * 60}" for number in range(5)]
    found = trace_context([PARENT], [",".join([short[0], f"long={'y' * 200}", *short[1:]])])
    assert found is not None
    assert found.state == ",".join(short[:4])


@given(st.lists(st.text(max_size=300), max_size=3), st.lists(st.text(max_size=600), max_size=3))
def test_whatever_comes_what_is_handed_on_is_a_trace_again(parents: list[str], states: list[str]) -> None:
    for given_parents in (parents, [PARENT]):
        found = trace_context(given_parents, states)
        if found is None:
            continue
        headers = found.headers()
        assert len(found.state) <= TRACE_STATE_CHARS_MAX
        assert all(value.isascii() and value.isprintable() for value in headers.values())
        assert trace_context([headers["traceparent"]], [found.state] if found.state else []) == found
