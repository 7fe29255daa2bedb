import pytest

from bridge.messagelog import Message, NewMessage, NewRecords, Records


@pytest.mark.parametrize(
    "records", [Records.of((Message(1, 2, 3, b"x", {}),)), NewRecords.of([NewMessage(b"x", 1)])]
)
@pytest.mark.parametrize("index", [1, -2])
def test_there_is_no_message_beyond_the_end(records: Records | NewRecords, index: int) -> None:
    with pytest.raises(IndexError):
        records[index]
