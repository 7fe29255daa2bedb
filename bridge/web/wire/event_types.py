"""The messages of a reader who wants events of some types only (pure)."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bridge.messagelog import ID_BYTES, Records
from bridge.web.wire.payload_forms import Form

__all__ = ("of_types",)


class _Typed(msgspec.Struct):
    event_type: str


_TYPED: Final = msgspec.json.Decoder(_Typed)


def of_types(
    records: Records, forms_of: Callable[[Records], Sequence[Form]], event_types: frozenset[str]
) -> Records:
    """
    Those that are events of one of *event_types*; all, as the same object, if that is empty.

    Args:
        forms_of: what each payload is (`PageEncoder.forms_of`).
    """
    if not event_types:
        return records
    payloads = records.payloads
    kept = [
        index
        for index, form in enumerate(forms_of(records))
        if form is Form.EVENT and _TYPED.decode(payloads[index]).event_type in event_types
    ]
    if len(kept) == len(payloads):
        return records
    # Nothing is kept but events.
    return Records(
        [records.offsets[index] for index in kept],
        [records.timestamps_us[index] for index in kept],
        b"".join([records.ids[index * ID_BYTES : (index + 1) * ID_BYTES] for index in kept]),
        [payloads[index] for index in kept],
        {place: records.headers[index] for place, index in enumerate(kept) if index in records.headers},
        events=True,
    )
