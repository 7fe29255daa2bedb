"""What an error that has been dealt with still holds (leaf, pure)."""

__all__ = ("let_go",)


def let_go(error: BaseException) -> None:
    """
    Drop the tracebacks of *error* and of every error it came from: it goes on, its frames do not.

    A traceback holds every frame that the error has passed, and with them the body or the page that each of these had in
    its hands. Where one of the frames holds the error (a future that was awaited, a stream that was told why it ends)
    that is a circle, which only the garbage collector finds: 25 clients that left in the middle of a page of 20 MB held
    475 MB. To be called once nobody is to be shown the way any more.
    """
    left = [error]
    met: set[int] = set()
    while left:
        one = left.pop()
        if id(one) in met:
            continue
        met.add(id(one))
        one.__traceback__ = None
        left += [each for each in (one.__cause__, one.__context__) if each is not None]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
