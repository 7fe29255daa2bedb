"""What may have been meant by a stream or topic that is not there (shell)."""

from typing import TYPE_CHECKING
from urllib.parse import unquote

from bridge.cli.remote.names import did_you_mean
from bridge.cli.remote.requests import path_of

if TYPE_CHECKING:
    from bridge.cli.remote.client import BridgeClient


async def meant(client: "BridgeClient", path: str) -> str:
    """A sentence with the names like those in *path*, or how to see all of them; nothing where they are there.

    Raises:
        CommandFailed: if the bridge does not say which there are.
    """
    match [unquote(part) for part in path.split("/")]:
        case ["", "streams", stream, *rest]:
            pass
        case _:
            return ""
    streams = [each["name"] for each in await client.get("/streams")]
    if stream not in streams:
        return did_you_mean(stream, streams) or "`bridge streams ls` lists all streams."
    match rest:
        case ["topics", topic, *_]:
            found = await client.get(path_of("streams", stream, "topics"))
            topics = [each["name"] for each in found]
            if topic not in topics:
                close = did_you_mean(topic, topics).replace("Did you mean ", f"Did you mean, in {stream}, ")
                return close or f"`bridge topics ls {stream}` lists its topics."
        case _:
            pass
    return ""
