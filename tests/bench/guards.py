"""What guards a bridge that is measured (shell): nothing, what most have, or all that an operator can put there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bridge.policy.key_texts import new_key, plain_digest
from tests.bench.cases import AUDITED, PROTECTED, UNPROTECTED
from tests.bench.requests import STREAM

__all__ = ("key_and_settings",)

_API_KEY: Final = "bench-8f14e45fceea167a5a36dedd4bea2543"
_SCOPED_KEY: Final = new_key(lambda below: 2**257 // 7 % below)
#: The file of that key, which may as much as one that an application was given. None of it refuses anything.
_KEYS: Final = {
    "version": 1,
    "keys": [
        {
            "id": _SCOPED_KEY.id,
            "name": "bench",
            "sha256": plain_digest(_SCOPED_KEY.text).hex(),
            "permissions": [f"consume:{STREAM}/*", f"produce:{STREAM}/*"],
            "created": "2026-01-01T00:00:00Z",
            "expires_at": "2099-01-01T00:00:00Z",
            "networks": ["10.0.0.0/8", "127.0.0.0/8"],
            "requests_per_s": 1_000_000,
            "bytes_per_s": 2**40,
        }
    ],
}
_LIMITED: Final = {"RATE_LIMIT_RPS": "1000000", "RATE_LIMIT_BURST": "1000000"}


def key_and_settings(name: str, data: Path) -> tuple[str, Mapping[str, str]]:
    """
    The key that callers of the target of that name show, and what guards it.

    Args:
        data: the target's directory, made here where files go into it.
    """
    if name == UNPROTECTED:
        return _API_KEY, {"RATE_LIMIT_RPS": "0"}
    if name not in {PROTECTED, AUDITED}:
        return _API_KEY, {"API_KEY": _API_KEY, **_LIMITED}
    data.mkdir()
    keys = data / "keys.json"
    keys.write_text(json.dumps(_KEYS))
    audited = {
        "AUDIT_FILE": str(data / "audit.jsonl"),
        "AUDIT_REQUESTS": "all" if name == AUDITED else "changes",
    }
    return _SCOPED_KEY.text, {"KEYS_FILE": str(keys), **audited, **_LIMITED}
