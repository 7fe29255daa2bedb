"""What the document says of streams, topics and stored offsets (pure)."""

from typing import Final

from bridge import errors
from bridge.web.openapi import examples
from bridge.web.openapi.operation import BODY_ERRORS, NOT_FOUND, ApiOperation, Reply, json_body, json_reply
from bridge.web.wire.answers import StreamAnswer, TopicAnswer, TopicRow
from bridge.web.wire.offsets import ConsumerOffset, ConsumerOffsets, OffsetBody, OffsetsBody
from bridge.web.wire.topics import PartitionsBody, StreamBody, TopicBody, TopicChangeBody

_STREAMS: Final = "Streams"
_TOPICS: Final = "Topics"
_OFFSETS: Final = "Stored offsets"
_GONE: Final = Reply("Done.")
_RETENTION: Final = {"max_age_seconds": 86400}
_OFFSET_ERRORS: Final = (*NOT_FOUND, errors.PartitionNotFound, errors.TopicError)
_SEVERAL: Final = {
    "consumer": "7",
    "stream": "sample-stream",
    "topic": "events",
    "lag": 1,
    "partitions": [{"partition_id": 2, "offset": 0, "current_offset": 1, "lag": 1}],
}

LIST_STREAMS: Final = ApiOperation(
    id="listStreams",
    tag=_STREAMS,
    summary="List the streams",
    description="All but the bridge's own.",
    replies={200: json_reply("The streams.", list[StreamAnswer], [examples.STREAM])},
    errors=(errors.StreamError,),
)
CREATE_STREAM: Final = ApiOperation(
    id="createStream",
    tag=_STREAMS,
    summary="Make a stream",
    description="A name has 1 to 255 letters and digits with single `.`, `_` or `-` between them, and is not digits only.",
    bodies=json_body(StreamBody, {"name": "shop"}),
    replies={201: json_reply("Made.", StreamAnswer, examples.STREAM, headers=("Location",))},
    errors=(errors.AlreadyExists, errors.StreamError),
)
GET_STREAM: Final = ApiOperation(
    id="getStream",
    tag=_STREAMS,
    summary="Show a stream",
    description="With what is in it.",
    replies={200: json_reply("The stream.", StreamAnswer, examples.STREAM)},
    errors=(errors.StreamNotFound, errors.StreamError),
)
DELETE_STREAM: Final = ApiOperation(
    id="deleteStream",
    tag=_STREAMS,
    summary="Delete a stream",
    description="With its topics, their messages, stored offsets and groups.",
    replies={204: _GONE},
    errors=(errors.StreamNotFound, errors.StreamError),
)
LIST_TOPICS: Final = ApiOperation(
    id="listTopics",
    tag=_TOPICS,
    summary="List the topics of a stream",
    description="Without their partitions.",
    replies={200: json_reply("The topics.", list[TopicRow], [examples.row_of(examples.TOPIC)])},
    errors=(errors.StreamNotFound, errors.TopicError),
)
CREATE_TOPIC: Final = ApiOperation(
    id="createTopic",
    tag=_TOPICS,
    summary="Make a topic",
    description="With 1 to 1000 partitions. All topics together have up to MAX_PARTITIONS.",
    bodies=json_body(TopicBody, {"name": "orders", "partitions": 3, "retention": _RETENTION}),
    replies={201: json_reply("Made.", TopicAnswer, examples.TOPIC, headers=("Location",))},
    errors=(errors.StreamNotFound, errors.AlreadyExists, errors.TopicError),
)
GET_TOPIC: Final = ApiOperation(
    id="getTopic",
    tag=_TOPICS,
    summary="Show a topic",
    description="With its partitions.",
    replies={200: json_reply("The topic.", TopicAnswer, examples.TOPIC)},
    errors=(*NOT_FOUND, errors.TopicError),
)
UPDATE_TOPIC: Final = ApiOperation(
    id="updateTopic",
    tag=_TOPICS,
    summary="Change the retention of a topic",
    description=(
        'The new one takes the place of what there was; what is left out is "never". Iggy keeps a segment per partition '
        "at least; the answer tells what holds."
    ),
    bodies=json_body(TopicChangeBody, {"retention": _RETENTION}),
    replies={200: json_reply("The topic as it is now.", TopicAnswer, examples.TOPIC)},
    errors=(*NOT_FOUND, errors.TopicError),
)
DELETE_TOPIC: Final = ApiOperation(
    id="deleteTopic",
    tag=_TOPICS,
    summary="Delete a topic",
    description="With its messages, stored offsets and groups.",
    replies={204: _GONE},
    errors=(*NOT_FOUND, errors.TopicError),
)
PURGE_TOPIC: Final = ApiOperation(
    id="purgeTopic",
    tag=_TOPICS,
    summary="Empty a topic",
    description="No message, stored offset or group is left, and offsets begin at 0 again. What is sent after the answer stays.",
    replies={204: _GONE},
    errors=(*NOT_FOUND, errors.TopicError, *BODY_ERRORS),
)
ADD_PARTITIONS: Final = ApiOperation(
    id="addPartitions",
    tag=_TOPICS,
    summary="Add partitions to a topic",
    description="Keys are placed by the new number from then on: the order of a key holds before and after, not across.",
    bodies=json_body(PartitionsBody, {"count": 3}),
    replies={201: json_reply("The topic as it is now.", TopicAnswer, examples.TOPIC)},
    errors=(*NOT_FOUND, errors.TopicError),
)
LIST_OFFSETS: Final = ApiOperation(
    id="listOffsets",
    tag=_OFFSETS,
    summary="Show how far a consumer came",
    description="In all partitions, with the lag.",
    replies={200: json_reply("The offsets.", ConsumerOffsets, _SEVERAL)},
    errors=_OFFSET_ERRORS,
)
PUT_OFFSETS: Final = ApiOperation(
    id="putOffsets",
    tag=_OFFSETS,
    summary="Store offsets of several partitions",
    description="All are checked before one is stored. If storing fails then, some may be stored.",
    bodies=json_body(OffsetsBody, {"offsets": [{"partition_id": 2, "offset": 0}]}),
    replies={200: json_reply("The offsets that were stored.", ConsumerOffsets, _SEVERAL)},
    errors=_OFFSET_ERRORS,
)
DELETE_OFFSETS: Final = ApiOperation(
    id="deleteOffsets",
    tag=_OFFSETS,
    summary="Forget the offsets of a consumer",
    description="In all partitions; no fault if there were none.",
    replies={204: _GONE},
    errors=(*_OFFSET_ERRORS, *BODY_ERRORS),
)
GET_OFFSET: Final = ApiOperation(
    id="getOffset",
    tag=_OFFSETS,
    summary="Show how far a consumer came in one partition",
    description="`offset` is null where none is stored.",
    replies={200: json_reply("The offset.", ConsumerOffset, examples.CONSUMER_OFFSET)},
    errors=_OFFSET_ERRORS,
)
PUT_OFFSET: Final = ApiOperation(
    id="putOffset",
    tag=_OFFSETS,
    summary="Store the offset of a consumer",
    description="Forwards or backwards, not beyond the newest message. It is the offset of the last message consumed.",
    bodies=json_body(OffsetBody, {"offset": 0}),
    replies={200: json_reply("The offset.", ConsumerOffset, examples.CONSUMER_OFFSET)},
    errors=_OFFSET_ERRORS,
)
DELETE_OFFSET: Final = ApiOperation(
    id="deleteOffset",
    tag=_OFFSETS,
    summary="Forget the offset of a consumer in one partition",
    description="No fault if there was none.",
    replies={204: _GONE},
    errors=(*_OFFSET_ERRORS, *BODY_ERRORS),
)
