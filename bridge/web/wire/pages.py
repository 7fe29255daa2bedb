"""The answer to a poll (pure): whatever is in the log goes out as what it is, and nothing in it breaks the page."""

import math
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple, cast

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from bridge.clock import rfc3339
from bridge.events import Event, Steps
from bridge.limits import JSON_STEP_BYTES, PAGE_LIGHT_BYTES, PAGE_SIZES_KEPT_MAX
from bridge.messagelog import NO_HEADERS, Headers, HeaderValue, Page, Records
from bridge.web.wire.offsets import current_offset
from bridge.web.wire.payload_forms import Form, PayloadForms
from bridge.web.wire.times import Time

_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1
_HEAD: Final = b'"offset":%d,"timestamp":"%b","id":"%b","size":%d,'
_EVENT: Final = b'"event":%b}'
_ONE_LINE: Final = bytes.maketrans(b"\n\r", b"  ")
_FIELDS: Final = {Form.JSON: b"payload", Form.TEXT: b"text", Form.BYTES: b"payload_base64"}
_PAGE_BEGIN: Final = b'{"messages":['
_PAGE_END: Final = b'],"count":%d,"partition_id":%d,"current_offset":%d}'


class ShownMessage(msgspec.Struct, kw_only=True):
    """A message. One that is no event has `event` null, `headers`, and one of `payload`, `text` and `payload_base64`."""

    offset: Annotated[int, Meta(ge=0)]
    timestamp: Annotated[Time, Meta(description="When the log took it")]
    id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    size: Annotated[int, Meta(ge=0, description="Bytes of the stored payload")]
    event: Annotated[Event | None, Meta(description="The stored bytes of an event, as they were sent")]
    headers: (
        Annotated[
            dict[str, Any],
            Meta(description='Bytes as `{"base64": ...}`, a number that JSON lacks as `{"number": "NaN"}`'),
        ]
        | UnsetType
    ) = UNSET
    payload: Annotated[Any, Meta(description="What is JSON, and no event")] = UNSET
    text: Annotated[str, Meta(description="What is UTF-8, and no JSON")] | UnsetType = UNSET
    payload_base64: (
        Annotated[str, Meta(description="What is neither", extra_json_schema={"contentEncoding": "base64"})]
        | UnsetType
    ) = UNSET


class PlacedMessage(ShownMessage, kw_only=True):
    """A message of one of several partitions."""

    partition_id: Annotated[int, Meta(ge=0)]


class PageAnswer(msgspec.Struct):
    """Messages of one partition, in order."""

    messages: list[ShownMessage]
    count: Annotated[int, Meta(ge=0)]
    partition_id: Annotated[int, Meta(ge=0)]
    current_offset: Annotated[
        int, Meta(ge=0, description="Of the newest message of the partition; 0 where there is none")
    ]


class Shown(NamedTuple):
    """As what a payload goes out, and what then stands behind the name of its field; None where that was not made."""

    form: Form
    text: bytes | None


class PageEncoder:
    """Pages as JSON; remembers what payloads are.

    Attributes:
        forms: to be told of events that were checked on their way in.
    """

    def __init__(self) -> None:
        self.forms = PayloadForms()

    def page_json(self, page: Page) -> bytes:
        """`{"messages": [...], "count", "partition_id", "current_offset"}`, see `lines`."""
        records = page.messages
        end = _PAGE_END % (len(records), page.partition_id, current_offset(page.end_offset))
        if records.kept:
            return b"".join((_PAGE_BEGIN, self._kept(records), end))
        # What is around is written with it: afterwards all of it would be copied.
        return self.joined(records, around=(_PAGE_BEGIN, end))

    def lines(self, records: Records, *, lead: bytes = b"{", once: bool = False) -> list[bytes]:
        """Each message as JSON: `offset`, `timestamp`, `id` (UUID text of all 128 bits), `size` (bytes of payload), `event`.

        `event` is the stored bytes where they are a domain event. Where they are not it is null, and there is one of
        `payload` (the bytes are JSON, given as they are), `text` (they are UTF-8) or `payload_base64`; and `headers`.
        A header of bytes is `{"base64": ...}`, a number that JSON does not have `{"number": "NaN"}`.

        Args:
            lead: what each object begins with.
            once: nobody is likely to read these again.
        """
        return _lines(records, lead + _HEAD, self._forms(records, once=once))

    def joined(
        self,
        records: Records,
        *,
        lead: bytes = b"{",
        end: bytes = b"",
        around: tuple[bytes, bytes] = (b"", b""),
        once: bool = False,
    ) -> bytes:
        """`lines` as one between the two of *around*, each with *end* behind it, or with commas between them."""
        forms = self._forms(records, once=once)
        if forms is not None:
            lines = _lines(records, lead + _HEAD, forms)
            return (b"".join([line + end for line in lines]) if end else b",".join(lines)).join(around)
        return _whole(records, lead, end, around) if records else b"".join(around)

    def shown_steps(self, records: Records, *, once: bool = False, spelled: bool = True) -> Steps[None]:
        """Find out what takes long of *records*, and leave it with them, so that to encode them is only to put it together.

        Nothing is done for those that are not heavy: up to `PAGE_LIGHT_BYTES` of payloads, or known to be events.

        Args:
            once: as for `lines`.
            spelled: keep as what they go out as well.
        """
        if records.shown or records.events or records.payload_bytes <= PAGE_LIGHT_BYTES:
            return
        payloads = records.payloads
        forms = yield from self.forms.form_steps(payloads, remember=not once)
        if forms.count(Form.EVENT) == len(forms):
            records.events = True
            return
        shown: dict[int, object] = {}
        done_bytes = 0
        for index, (form, payload) in enumerate(zip(forms, payloads, strict=True)):
            if not spelled:
                shown[index] = Shown(form, None)
                continue
            pieces: list[bytes] = []
            for piece in _pieces(form, payload):
                pieces.append(piece)
                done_bytes += len(piece)
                if done_bytes > PAGE_LIGHT_BYTES:
                    done_bytes = 0
                    yield
            shown[index] = Shown(form, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        records.shown = shown

    def forms_of(self, records: Records, *, remember: bool = True) -> Sequence[Form]:
        """What each payload is; *remember* as for `PayloadForms.forms_of`."""
        if records.events:
            return [Form.EVENT] * len(records)
        if records.shown:
            return [_shown(records, index).form for index in range(len(records))]
        return self.forms.forms_of(records.payloads, remember=remember)

    def _forms(self, records: Records, *, once: bool) -> Sequence[Form] | None:
        """The form of each; None where there is nothing but events."""
        if records.events:
            return None
        forms = self.forms_of(records, remember=not once)
        return None if forms.count(Form.EVENT) == len(forms) else forms

    def _kept(self, records: Records) -> bytes:
        if records.page_json is not None:
            return records.page_json
        joined = self.joined(records)
        if len(joined) <= records.weight_bytes:
            records.page_json = joined
        return joined


def single_lines(objects: list[bytes]) -> list[bytes]:
    """*objects*, each on one line: stored JSON may be written over several.

    They are divided outside of strings alone, where a space means the same.
    """
    # To look for one in all of them takes 0.03 us each.
    joined = b"".join(objects)
    if b"\n" not in joined and b"\r" not in joined:
        return objects
    return [each.translate(_ONE_LINE) for each in objects]


def _lines(records: Records, head: bytes, forms: Sequence[Form] | None) -> list[bytes]:
    if forms is None:
        payloads = _events(records)
        return list(map((head + _EVENT).__mod__, zip(*_columns(records), payloads, strict=True)))
    return [
        head % fields
        + _tail(
            form,
            (records.shown and _shown(records, index).text) or _text_of(form, payload),
            records.headers.get(index),
        )
        for index, (fields, form, payload) in enumerate(
            zip(zip(*_columns(records), strict=True), forms, records.payloads, strict=True)
        )
    ]


def _whole(records: Records, lead: bytes, end: bytes, around: tuple[bytes, bytes]) -> bytes:
    """What `_lines` gives for nothing but events, as one between the two of *around*; at least one of them."""
    # Nearly every page, and all of it at once: 0.25 us a message, 0.43 us with one format for all of them, 0.6 us one
    # by one (measured).
    begin = lead + b'"offset":'
    offsets = _numbers(records.offsets, between=b"}" + (end or b",") + begin)
    times = {
        time_us: b',"timestamp":"%b","id":"' % rfc3339(time_us).encode()
        for time_us in set(records.timestamps_us)
    }
    pieces = [b""] * (5 * len(offsets) + 2)
    pieces[0] = around[0] + begin
    pieces[1:-1:5] = offsets
    pieces[2:-1:5] = map(times.__getitem__, records.timestamps_us)
    pieces[3:-1:5] = _id_texts(records.ids)
    pieces[4:-1:5] = map(_SIZES.__getitem__, map(len, records.payloads))
    pieces[5:-1:5] = _events(records)
    pieces[-1] = b"}" + end + around[1]
    return b"".join(pieces)


def _numbers(numbers: Iterable[int], *, between: bytes) -> list[bytes]:
    """Each as text, with *between* before all but the first; at least one of them."""
    # No JSON has a zero byte; commas there are none but between the numbers.
    return orjson.dumps(list(numbers))[1:-1].replace(b",", b"\0" + between).split(b"\0")


class _Sizes(dict[int, bytes]):
    """What stands between the id of a message and its event, by the size of that: few sizes are not another's too."""

    def __missing__(self, size: int) -> bytes:
        text = b'","size":%d,"event":' % size
        if size < PAGE_SIZES_KEPT_MAX:
            self[size] = text
        return text


_SIZES: Final = _Sizes()


def _events(records: Records) -> Sequence[bytes]:
    """What stands behind `"event":` of each, headers and all; they are nothing but events."""
    if not records.headers:
        return records.payloads
    events = list(records.payloads)
    before: Headers = NO_HEADERS
    written = b""
    for index, headers in records.headers.items():
        # Those of a batch are the very same object, from most logs.
        if headers is not before:
            before, written = headers, b',"headers":' + _headers_json(headers)
        events[index] += written
    return events


def _columns(records: Records) -> tuple[Iterable[int], Iterable[bytes], Iterable[bytes], Iterable[int]]:
    """Offsets, times, ids and sizes, as `_HEAD` takes them."""
    times = {time_us: rfc3339(time_us).encode() for time_us in set(records.timestamps_us)}
    return (
        records.offsets,
        map(times.__getitem__, records.timestamps_us),
        _id_texts(records.ids),
        map(len, records.payloads),
    )


def _id_texts(ids: bytes) -> list[bytes]:
    """Groups of 8, 4, 4, 4 and 12 digits."""
    if not ids:
        return []
    # A dash after every fourth digit, away with those that are too many, and a cut at every last one: no object is made
    # of a group (0.06 us an id instead of 0.2 us, measured).
    text = bytearray(ids.hex("-", 2).encode())
    del text[34::40], text[29::39], text[4::38]
    text[36::37] = bytes(len(text[36::37]))
    return bytes(text).split(b"\0")


def _tail(form: Form, text: bytes, headers: Headers | None) -> bytes:
    """The rest of a message's object, from `event` on.

    Args:
        text: as `Shown.text`.
    """
    if form is Form.EVENT:
        return b'"event":%b,"headers":%b}' % (text, _headers_json(headers)) if headers else _EVENT % text
    return b'"event":null,"headers":%b,"%b":%b}' % (_headers_json(headers or {}), _FIELDS[form], text)


def _shown(records: Records, index: int) -> Shown:
    return cast("Shown", records.shown[index])


def _text_of(form: Form, payload: bytes) -> bytes:
    """As what *payload* goes out, in one go."""
    if form is Form.TEXT:
        return orjson.dumps(payload.decode())
    return b'"%b"' % b64encode(payload) if form is Form.BYTES else payload


def _pieces(form: Form, payload: bytes) -> Iterator[bytes]:
    """`_text_of` in pieces, each of which is soon made."""
    match form:
        case Form.EVENT | Form.JSON:
            yield payload
        case Form.TEXT:
            text = payload.decode()
            yield b'"'
            for start in range(0, len(text), JSON_STEP_BYTES):
                yield orjson.dumps(text[start : start + JSON_STEP_BYTES])[1:-1]
            yield b'"'
        case Form.BYTES:
            yield b'"'
            # Each of a number of bytes that leaves no rest.
            for start in range(0, len(payload), 3 * JSON_STEP_BYTES):
                yield b64encode(payload[start : start + 3 * JSON_STEP_BYTES])
            yield b'"'


def _headers_json(headers: Headers) -> bytes:
    if set(map(type, headers.values())) == {str}:
        # Nearly all, a trace above all: 0.5 us instead of 1.9.
        try:
            return orjson.dumps(headers)
        except orjson.JSONEncodeError:
            # Half a surrogate pair.
            pass
    return orjson.dumps({_text(key): _header(value) for key, value in headers.items()})


def _header(value: HeaderValue) -> Any:
    match value:
        case bytes():
            return {"base64": b64encode(value).decode()}
        case str():
            return _text(value)
        case float() if not math.isfinite(value):
            return {"number": str(value)}
        case int() if not _INT64_MIN <= value <= _UINT64_MAX:
            return orjson.Fragment(str(int(value)))
        case _:
            return value


def _text(text: str) -> str:
    """The text itself; half a surrogate pair, where an adapter left one, is spelled out as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()
