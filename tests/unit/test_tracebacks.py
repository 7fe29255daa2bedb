"""An error that was dealt with holds no frame any more, nor does any it came from."""

import gc
from weakref import ref

from bridge.errors import let_go


class Page:
    """What a frame has in its hands."""


def _fail(page: Page) -> None:
    raise KeyError(str(page))


def _caught() -> tuple[BaseException, "ref[Page]"]:
    page = Page()
    try:
        try:
            try:
                _fail(page)
            except KeyError as first:
                raise ExceptionGroup("several", [first]) from OSError("cause")
        except ExceptionGroup as second:
            raise ValueError("third") from second
    except ValueError as error:
        return error, ref(page)
    raise AssertionError("unreachable")


def test_what_the_frames_of_an_error_hold_is_freed_with_it_alive() -> None:
    gc.disable()
    try:
        error, page = _caught()
        assert page() is not None
        let_go(error)
        assert page() is None
    finally:
        gc.enable()
    # What it says of itself stays.
    assert isinstance(error.__cause__, ExceptionGroup)


def test_errors_that_name_each_other_come_to_an_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__cause__ = other, one
    let_go(one)
    assert other.__traceback__ is None
