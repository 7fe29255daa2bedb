"""What the document says of groups (pure)."""

from typing import Final

from bridge import errors
from bridge.web.openapi import examples
from bridge.web.openapi.operation import BODY_ERRORS, NOT_FOUND, ApiOperation, Reply, json_body, json_reply
from bridge.web.wire.groups import (
    AckBody,
    DeliveriesAnswer,
    ExtendBody,
    GroupAnswer,
    GroupRow,
    NackBody,
    ReceiveRequest,
    SeekAnswer,
    SeekBody,
    TokensAnswer,
)

_TAG: Final = "Groups"
_ERRORS: Final = (*NOT_FOUND, errors.NotFound, errors.PollError, errors.SendError)
_TOKENS: Final = [examples.TOKEN]
_SETTLED: Final = json_reply(
    "The outcome of each token.",
    TokensAnswer,
    {"results": [{"token": examples.TOKEN, "outcome": "done"}], "done": 1},
)

LIST_GROUPS: Final = ApiOperation(
    id="listGroups",
    tag=_TAG,
    summary="List the groups of a topic",
    description="Without their partitions.",
    replies={200: json_reply("The groups.", list[GroupRow], [examples.row_of(examples.GROUP)])},
    errors=_ERRORS,
)
GET_GROUP: Final = ApiOperation(
    id="getGroup",
    tag=_TAG,
    summary="Show a group",
    description="Its members, and by partition how far it came.",
    replies={200: json_reply("The group.", GroupAnswer, examples.GROUP)},
    errors=_ERRORS,
)
DELETE_GROUP: Final = ApiOperation(
    id="deleteGroup",
    tag=_TAG,
    summary="Delete a group",
    description="With its offsets; who receives as it again begins at the oldest message.",
    replies={204: Reply("Done.")},
    errors=(*_ERRORS, *BODY_ERRORS),
)
SEEK: Final = ApiOperation(
    id="seekGroup",
    tag=_TAG,
    summary="Say where a group goes on",
    description="Leases of before are forgotten. `dry_run` only says where it would go on.",
    bodies=json_body(SeekBody, {"to": "first", "dry_run": True}),
    replies={
        200: json_reply(
            "Where it goes on.",
            SeekAnswer,
            {"dry_run": True, "partitions": [{"partition_id": 0, "from_offset": 7, "to_offset": 0}]},
        )
    },
    errors=(*_ERRORS, errors.PartitionNotFound),
)
RECEIVE: Final = ApiOperation(
    id="receive",
    tag=_TAG,
    summary="Receive messages under a lease",
    description=(
        "Those there are at once, else the first within `wait_ms`. A message is given again when its lease ends unsettled, "
        "and goes to the topic `<topic>.<group>.dlq` after `max_deliveries`. No body takes the defaults. The first receive "
        "makes the group."
    ),
    bodies=json_body(ReceiveRequest, {"count": 10, "wait_ms": 1000}),
    body_required=False,
    replies={
        200: json_reply(
            "The messages; nothing where there was nothing in time.", DeliveriesAnswer, examples.DELIVERIES
        )
    },
    errors=_ERRORS,
)
ACK: Final = ApiOperation(
    id="ack",
    tag=_TAG,
    summary="Settle messages for good",
    description=(
        "`done`; `settled` where it was acked before; `expired` where it was given to another since. A 5xx or a lost "
        "answer leaves open whether it is stored: send it again."
    ),
    bodies=json_body(AckBody, {"tokens": _TOKENS}),
    replies={200: _SETTLED},
    errors=_ERRORS,
)
NACK: Final = ApiOperation(
    id="nack",
    tag=_TAG,
    summary="Give messages back",
    description="They come again after `delay_ms`.",
    bodies=json_body(NackBody, {"tokens": _TOKENS, "delay_ms": 5000}),
    replies={200: _SETTLED},
    errors=_ERRORS,
)
EXTEND: Final = ApiOperation(
    id="extend",
    tag=_TAG,
    summary="Keep messages for longer",
    description="Their leases end `visibility_ms` from now.",
    bodies=json_body(ExtendBody, {"tokens": _TOKENS, "visibility_ms": 60000}),
    replies={200: _SETTLED},
    errors=_ERRORS,
)
