"""
The frames of Iggy's own protocol, as a client sends and gets them (pure).

A request is a header of 256 bytes and a body, and so is its reply; all numbers are little endian. A connection carries
one request at a time. What was not to be is said by a code, in the header or before a body; here each code becomes
the sentence that the SDK has for it, so that `faults` explains both alike.

Source: apache/iggy core/binary_protocol, `consensus/header.rs`, `operation.rs`, `version.rs`,
`requests/users/login_register*.rs`; core/sdk `vsr.rs`; tried against server 0.9.0-edge.5.
"""

import struct
from typing import Final, NamedTuple

from bridge.iggy.address import IggyAddress
from bridge.limits import IGGY_REPLY_BYTES_MAX

__all__ = (
    "HEAD_BYTES",
    "FrameError",
    "Identity",
    "LoggedIn",
    "body_of",
    "logged_in",
    "login_request",
    "reply_bytes",
    "request_head",
    "unregistered",
)

HEAD_BYTES: Final = 256

# size, command, client, request, operation, session, and the command's code where the operation does not say it.
_REQUEST: Final = struct.Struct("<48xI8xB67x16s24xQB7xQ4xI56x")
_SIZE_AT: Final = slice(48, 52)
_COMMAND_AT: Final = 60
_OPERATION_AT: Final = 208
_STATUS_AT: Final = slice(216, 220)
_REASON_AT: Final = 255

_REQUEST_COMMAND: Final = 5
_REPLY_COMMAND: Final = 8
_EVICTION_COMMAND: Final = 13

_REGISTER: Final = 1
_NOT_REPLICATED: Final = 2
#: What changes a partition is named by its operation; whatever else is asked here goes by its code.
_OPERATIONS: Final = {101: 160, 121: 161, 122: 162}
#: Their replies begin with a list of what failed, empty where nothing did; one of a login may.
_WITH_RESULTS: Final = frozenset({_REGISTER, 161, 162})
_RESULT: Final = struct.Struct("<III")
_COUNT_BYTES: Final = 4

_LOGIN: Final = 40
_LOGIN_WITH_TOKEN: Final = 45
#: 0.11.0, as the SDK that is pinned; the server takes its own minor.
_PROTOCOL_VERSION: Final = 11 << 10
_CLIENT_NAME: Final = b"bridge"
_CLIENT_VERSION: Final = b"0.11.0"
_LOGGED_IN: Final = struct.Struct("<IQIB")

_SENTENCES: Final = {
    3: "Invalid command",
    4: "Invalid format",
    20: "Resource with key:  was not found.",
    30: "Stale client",
    40: "Unauthenticated",
    41: "Unauthorized",
    42: "Invalid credentials",
    53: "Invalid personal access token",
    54: "Personal access token:  has expired.",
    57: "Request transiently not committed; retry",
    58: "Request transiently not accepted; retry, on any replica",
    59: "Request already applied; its reply is no longer available",
    1009: "Stream with ID: 0 was not found.",
    1010: "Stream with name:  was not found.",
    2010: "Topic with ID: 0 for stream with ID: 0 was not found.",
    2011: "Topic with name:  for stream with ID: 0 was not found.",
    3007: "Partition with ID: 0 for topic with ID: 0 for stream with ID: 0 was not found.",
    3021: "Consumer offset for consumer with ID: 0 was not found.",
    4009: "Invalid messages count",
    4017: "Too big headers payload",
    4018: "Invalid header key",
    4019: "Invalid header value",
    4022: "Too big message payload",
    4025: "Invalid message payload length",
    4038: "Invalid message timestamp delta",
    4100: "Invalid offset: 0",
    14003: "Incompatible binary protocol version",
}
#: Why the server ended the session.
_REASONS: Final = {1: 40, 7: 40, 8: 40, 9: 42, 10: 53, 11: 40, 12: 40, 13: 30, 14: 14003, 15: 4}


class FrameError(RuntimeError):
    """Why there is no answer; its text is a sentence of the SDK's."""


class Identity(NamedTuple):
    """Who asks.

    Attributes:
        client: 16 bytes, drawn anew for each connection.
        session: number of the session, 0 before the login.
    """

    client: bytes
    session: int


class LoggedIn(NamedTuple):
    """What a login gave."""

    identity: Identity
    server_version: str


def unregistered(client: bytes) -> Identity:
    """*client* before its login."""
    return Identity(client, 0)


def login_request(address: IggyAddress) -> tuple[int, bytes]:
    """Code and body of the login at *address*, by token where there is one."""
    version = b"".join(
        (_PROTOCOL_VERSION.to_bytes(4, "little"), _short(_CLIENT_NAME), _short(_CLIENT_VERSION))
    )
    no_context = bytes(4)
    if address.token is not None:
        return _LOGIN_WITH_TOKEN, version + _short(address.token.encode()) + no_context
    credentials = _short(address.username.encode()) + _short(address.password.encode())
    return _LOGIN, version + credentials + no_context


def request_head(identity: Identity, code: int, body_bytes: int) -> bytes:
    """The header of a request with a body of *body_bytes*."""
    if code in (_LOGIN, _LOGIN_WITH_TOKEN):
        operation, request, carried = _REGISTER, 0, 0
    else:
        operation, request = _OPERATIONS.get(code, _NOT_REPLICATED), 1
        carried = code if operation == _NOT_REPLICATED else 0
    return _REQUEST.pack(
        HEAD_BYTES + body_bytes,
        _REQUEST_COMMAND,
        identity.client,
        # Only changes of metadata are counted, and none is made here.
        request,
        operation,
        identity.session,
        carried,
    )


def reply_bytes(head: bytes) -> int:
    """
    Size of the reply that begins with *head*, header included.

    Raises:
        FrameError: if it is no size of a reply.
    """
    size_bytes = int.from_bytes(head[_SIZE_AT], "little")
    if not HEAD_BYTES <= size_bytes <= IGGY_REPLY_BYTES_MAX:
        raise FrameError("Disconnected")
    return size_bytes


def body_of(reply: bytes) -> bytes:
    """
    What a whole *reply* says.

    Raises:
        FrameError: if it says why not.
    """
    command = reply[_COMMAND_AT]
    if command == _EVICTION_COMMAND:
        raise FrameError(_sentence(_REASONS.get(reply[_REASON_AT], 3)))
    if command != _REPLY_COMMAND:
        raise FrameError("Disconnected")
    status = int.from_bytes(reply[_STATUS_AT], "little")
    if status:
        raise FrameError(_sentence(status))
    if reply[_OPERATION_AT] in _WITH_RESULTS:
        return _without_results(reply)
    return reply[HEAD_BYTES:]


def logged_in(client: bytes, body: bytes) -> LoggedIn:
    """
    What the reply to a login means for *client*.

    Raises:
        FrameError: if it is no such reply.
    """
    if len(body) < _LOGGED_IN.size:
        raise FrameError("Unauthenticated")
    _, session, _, name_bytes = _LOGGED_IN.unpack_from(body)
    version = body[_LOGGED_IN.size : _LOGGED_IN.size + name_bytes]
    return LoggedIn(Identity(client, session), version.decode(errors="replace"))


def _without_results(reply: bytes) -> bytes:
    count = int.from_bytes(reply[HEAD_BYTES : HEAD_BYTES + _COUNT_BYTES], "little")
    if not count:
        return reply[HEAD_BYTES + _COUNT_BYTES :]
    if len(reply) < HEAD_BYTES + _RESULT.size:
        raise FrameError("Disconnected")
    raise FrameError(_sentence(_RESULT.unpack_from(reply, HEAD_BYTES)[2]))


def _sentence(code: int) -> str:
    return _SENTENCES.get(code, f"Iggy's code {code}")


def _short(text: bytes) -> bytes:
    return bytes((len(text),)) + text
