"""Which stream and topic a request is about (shell over `policy.names`)."""

from aiohttp import web

from bridge.messagelog import TopicRef
from bridge.policy.names import check_name
from bridge.web.keys import SERVICES

__all__ = ("stream_of", "topic_of")


def stream_of(request: web.Request) -> str:
    """
    The stream named by the path.

    Raises:
        BadRequest: if none may be called so.
    """
    return check_name(request.match_info["stream"], kind="stream")


def topic_of(request: web.Request) -> TopicRef:
    """
    The topic named by the path, or the default one where the path names none.

    Raises:
        BadRequest: if none may be called so.
    """
    if "topic" not in request.match_info:
        defaults = request.app[SERVICES].log_config
        return TopicRef(defaults.stream, defaults.topic)
    return TopicRef(stream_of(request), check_name(request.match_info["topic"], kind="topic"))
