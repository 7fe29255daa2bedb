from hypothesis import given
from hypothesis import strategies as st

from bridge.flow.appending.queues import Weight, fitting, receipts
from bridge.limits import GATHER_BYTES_MAX, GATHER_MESSAGES_MAX
from bridge.messagelog import Durability, Receipt

weights = st.lists(
    st.builds(Weight, st.integers(1, 2 * GATHER_MESSAGES_MAX), st.integers(1, 2 * GATHER_BYTES_MAX)),
    max_size=30,
)


@given(weights)
def test_as_many_go_together_as_fit_and_the_first_in_any_case(waiting: list[Weight]) -> None:
    count = fitting(waiting)

    def fits(some: list[Weight]) -> bool:
        return (
            sum(weight.messages_count for weight in some) <= GATHER_MESSAGES_MAX
            and sum(weight.size_bytes for weight in some) <= GATHER_BYTES_MAX
        )

    assert (count == 0) is (not waiting)
    assert count <= 1 or fits(waiting[:count])
    assert count == len(waiting) or not fits(waiting[: count + 1])


@given(st.integers(0, 2**62), st.lists(st.integers(1, 1000), min_size=1, max_size=50))
def test_receipts_of_appends_tile_that_of_their_batch(offset: int, counts: list[int]) -> None:
    receipt = Receipt(3, offset, sum(counts), Durability.PERSISTED)
    at = offset
    for one, count in zip(receipts(receipt, counts), counts, strict=True):
        assert one == Receipt(3, at, count, Durability.PERSISTED)
        at += count
    assert at == offset + receipt.messages_count


def test_a_receipt_without_offset_gives_others_without() -> None:
    receipt = Receipt(0, None, 3, Durability.REPLICATED)
    assert [one.offset for one in receipts(receipt, [1, 2])] == [None, None]
