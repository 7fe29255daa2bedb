"""The connection to Iggy as a table of states and events (pure).

Rule 1: whatever changes the state is an event in this table. Rule 2: nothing here waits, dials or knows the time; the
session performs the actions and reports what came of them as the next event.

`CONNECTING` is "never connected so far": nobody knows whether there is an Iggy at all, so requests hardly wait.
`RECONNECTING` is "it was there a moment ago": requests wait until their deadline. `EXHAUSTED` is the end of all
attempts, and the process leaves with it.

The diagram in docs/architecture.md is drawn from `TRANSITIONS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class State(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    EXHAUSTED = "exhausted"
    CLOSED = "closed"


class Action(StrEnum):
    """What the session does about a transition, in the order given."""

    #: Let every request go that waits for the connection.
    RELEASE_WAITERS = "release waiters"
    #: Let every request that waits end with an error.
    REFUSE_WAITERS = "refuse waiters"
    #: Requests that arrive from now on wait.
    HOLD_REQUESTS = "hold requests"
    #: Let go of every client: each holds caches of what the server was.
    DROP_CLIENTS = "drop clients"
    #: A login and an answer prove more than the failures before them.
    RESET_BREAKER = "reset the breaker"
    BACK_OFF = "back off"
    DIAL = "dial"


# Events are told apart by their class; do not derive from them.


@dataclass(frozen=True, slots=True)
class ConnectionMade:
    """A client is logged in to a server that speaks our protocol."""

    server_version: str | None


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """One dial or login came to nothing, and another may follow.

    Attributes:
        detail: why, in one sentence for operators, without address or secret.
    """

    detail: str


@dataclass(frozen=True, slots=True)
class AttemptsExhausted:
    """One dial or login came to nothing, and it was the last allowed."""

    detail: str


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """A call or a probe found the connection dead."""

    detail: str


@dataclass(frozen=True, slots=True)
class CloseRequested:
    """The bridge shuts down."""


Event: TypeAlias = ConnectionMade | AttemptFailed | AttemptsExhausted | ConnectionLost | CloseRequested


class Edge(NamedTuple):
    state: State
    actions: tuple[Action, ...]


class IllegalTransition(RuntimeError):
    """The event cannot happen in this state: a fault of the session."""


_MADE = Edge(State.CONNECTED, (Action.RESET_BREAKER, Action.RELEASE_WAITERS))
_ENDED = Edge(State.EXHAUSTED, (Action.REFUSE_WAITERS,))
_CLOSED = Edge(State.CLOSED, (Action.REFUSE_WAITERS, Action.DROP_CLIENTS))
_LOST = Edge(State.RECONNECTING, (Action.HOLD_REQUESTS, Action.DROP_CLIENTS, Action.DIAL))
_FAILURE = (Action.BACK_OFF, Action.DIAL)

TRANSITIONS: Mapping[State, Mapping[type[Event], Edge]] = {
    State.CONNECTING: {
        ConnectionMade: _MADE,
        AttemptFailed: Edge(State.CONNECTING, _FAILURE),
        AttemptsExhausted: _ENDED,
        CloseRequested: _CLOSED,
    },
    State.CONNECTED: {ConnectionLost: _LOST, CloseRequested: _CLOSED},
    State.RECONNECTING: {
        ConnectionMade: _MADE,
        AttemptFailed: Edge(State.RECONNECTING, _FAILURE),
        AttemptsExhausted: _ENDED,
        CloseRequested: _CLOSED,
    },
    State.EXHAUSTED: {CloseRequested: _CLOSED},
    State.CLOSED: {},
}


def step(state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """The state after *event*, and what to do about it.

    Raises:
        IllegalTransition: if the table has no such pair.
    """
    edge = TRANSITIONS[state].get(type(event))
    if edge is None:
        raise IllegalTransition(f"{type(event).__name__} in state {state}")
    return edge.state, edge.actions
