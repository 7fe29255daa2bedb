import pytest

from bridge.iggy.state import (
    TRANSITIONS,
    Action,
    AttemptFailed,
    AttemptsExhausted,
    CloseRequested,
    ConnectionLost,
    ConnectionMade,
    Event,
    IllegalTransition,
    State,
    step,
)

EVENTS: tuple[Event, ...] = (
    ConnectionMade("0.9.0"),
    AttemptFailed("no"),
    AttemptsExhausted("no"),
    ConnectionLost("gone"),
    CloseRequested(),
)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", EVENTS)
def test_every_pair_is_in_the_table_or_raises(state: State, event: Event) -> None:
    if type(event) in TRANSITIONS[state]:
        after, actions = step(state, event)
        assert (after, actions) == TRANSITIONS[state][type(event)]
    else:
        with pytest.raises(IllegalTransition, match=type(event).__name__):
            step(state, event)


def test_a_lost_connection_holds_requests_and_is_dialled_at_once() -> None:
    state, actions = step(State.CONNECTED, ConnectionLost("gone"))
    assert state is State.RECONNECTING
    assert Action.BACK_OFF not in actions
    assert actions.index(Action.HOLD_REQUESTS) < actions.index(Action.DIAL)
    assert Action.DROP_CLIENTS in actions


@pytest.mark.parametrize("state", [State.CONNECTING, State.RECONNECTING])
def test_a_failed_attempt_backs_off_before_the_next(state: State) -> None:
    assert step(state, AttemptFailed("no")) == (state, (Action.BACK_OFF, Action.DIAL))


def test_whoever_waits_is_let_go_whatever_the_end() -> None:
    for state, edges in TRANSITIONS.items():
        for event, edge in edges.items():
            if edge.state is State.CONNECTED:
                assert Action.RELEASE_WAITERS in edge.actions, (state, event)
            if edge.state in (State.EXHAUSTED, State.CLOSED):
                assert Action.REFUSE_WAITERS in edge.actions, (state, event)


def test_every_state_but_closed_can_be_closed_and_closed_is_the_end() -> None:
    assert {state for state, edges in TRANSITIONS.items() if CloseRequested not in edges} == {State.CLOSED}
    assert TRANSITIONS[State.CLOSED] == {}
