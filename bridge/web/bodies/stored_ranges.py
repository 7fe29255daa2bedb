"""Where the messages of one request went (pure)."""

from bridge.limits import NDJSON_RANGES_TOLD
from bridge.messagelog import Receipt

__all__ = ("StoredRange", "StoredRanges")


class StoredRange:
    """
    Messages of one partition.

    Attributes:
        first_offset, last_offset: None where the log confirmed without saying where.
        count: less than what lies between the two where messages of others are in between.
    """

    __slots__ = ("count", "first_offset", "last_offset", "partition_id")

    def __init__(self, receipt: Receipt) -> None:
        self.partition_id = receipt.partition_id
        self.first_offset = receipt.offset
        self.last_offset = _last(receipt)
        self.count = receipt.messages_count


class StoredRanges:
    """
    Ranges in the order they began, joined where one follows the other.

    Beyond `NDJSON_RANGES_TOLD` what does not follow is joined as well, so that there is at most one more for each
    partition.
    """

    __slots__ = ("_latest", "found")

    def __init__(self) -> None:
        self.found: list[StoredRange] = []
        self._latest: dict[int, StoredRange] = {}

    def add(self, receipt: Receipt) -> None:
        """Messages that were stored after all those before."""
        latest = self._latest.get(receipt.partition_id)
        if latest is None or not (self._follows(latest, receipt) or len(self.found) >= NDJSON_RANGES_TOLD):
            self._latest[receipt.partition_id] = StoredRange(receipt)
            self.found.append(self._latest[receipt.partition_id])
            return
        latest.count += receipt.messages_count
        if receipt.offset is not None:
            latest.last_offset = _last(receipt)
            if latest.first_offset is None:
                latest.first_offset = receipt.offset

    @staticmethod
    def _follows(latest: StoredRange, receipt: Receipt) -> bool:
        if receipt.offset is None or latest.last_offset is None:
            return receipt.offset is latest.last_offset
        return receipt.offset == latest.last_offset + 1


def _last(receipt: Receipt) -> int | None:
    return None if receipt.offset is None else receipt.offset + receipt.messages_count - 1
