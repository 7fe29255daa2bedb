"""`bridge keys` (wiring): keys made, listed, rotated and revoked in a file on this machine."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from bridge.cli.client.failures import CommandFailed, ExitCode
from bridge.cli.remote.calling import OutputOption, add_group, local
from bridge.cli.remote.names import age_of, moment_of, time_text
from bridge.cli.remote.rendering import Column, Output, OutputFormat
from bridge.cli.settings import ConfigPath, read_settings

if TYPE_CHECKING:
    from bridge.policy.keys_file import StoredKey

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")]
_File = Annotated[
    Path | None, typer.Option("--file", metavar="PATH", help="File of keys; KEYS_FILE when left out.")
]
_Expires = Annotated[
    str | None, typer.Option(metavar="TIME", help="90d, 12h, or a time such as 2027-01-31T00:00:00Z.")
]
_Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PERMISSION",
        help="produce, consume, admin or metrics, and where it is not for all topics which, as in "
        "produce:orders/*; may be given again.",
    ),
]
_Certificate = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="In place of a key, a client certificate by its name: cn:billing, dns:... or uri:...",
    ),
]
_Networks = Annotated[
    list[str] | None, typer.Option(metavar="CIDR", help="Only from there; may be given again.")
]
_KEYS: Final = (
    Column("id", "ID"),
    Column("name", "NAME"),
    Column("state", "STATE"),
    Column("permissions", "PERMISSIONS", text=" ".join),
    Column("expires_at", "EXPIRES"),
    Column("networks", "NETWORKS", text=lambda value: " ".join(value) or "-"),
    Column("requests_per_s", "REQUESTS/S", right=True),
    Column("bytes_per_s", "BYTES/S", right=True),
    Column("created", "CREATED"),
)


def add_keys(app: typer.Typer) -> None:
    text = (
        "The keys of callers, in a file that holds their hashes alone. A bridge that serves it takes each change "
        "within 10 seconds, or at once on SIGHUP."
    )
    add_group(app, "keys", text, local, add=_add, list=_list, rotate=_rotate, revoke=_revoke)


class _Store(NamedTuple):
    path: Path
    pepper: str | None


def _store(file: Path | None, config_path: str | None) -> _Store:
    """The file that is meant, and what its keys are hashed under."""
    from bridge.errors import ConfigError  # noqa: PLC0415

    given = {} if file is None else {"keys_file": str(file)}
    try:
        # Without the rule that the file can be used: it may not be there yet.
        http = read_settings(given, config_path, rules=()).config.http
    except ConfigError as error:
        raise CommandFailed("; ".join(error.faults), ExitCode.USAGE) from None
    if http.keys_file is None:
        raise CommandFailed(
            "Which file of keys?", ExitCode.USAGE, hint="Name it with --file, or set KEYS_FILE."
        )
    return _Store(Path(http.keys_file), http.keys_pepper)


def _add(
    name: _Name,
    *,
    role: Annotated[
        list[str] | None, typer.Option(help="admin, editor, viewer or auditor; may be given again.")
    ] = None,
    allow: _Allow = None,
    certificate: _Certificate = None,
    expires: _Expires = None,
    network: _Networks = None,
    requests_per_second: Annotated[
        int | None, typer.Option(metavar="N", help="For all who have the key together.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option(metavar="N", help="Requests at once; one second's when left out.")
    ] = None,
    bytes_per_second: Annotated[
        int | None, typer.Option(metavar="N", help="Of what is sent with the key.")
    ] = None,
    file: _File = None,
    config_path: ConfigPath = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Make a key, and show it this once on stdout: the file keeps its hash alone."""
    from bridge.cli.keys.store import change_stored  # noqa: PLC0415
    from bridge.policy.key_changes import KeyChangeRefused, added, hashed  # noqa: PLC0415
    from bridge.policy.key_texts import new_key  # noqa: PLC0415
    from bridge.policy.keys_file import StoredKey  # noqa: PLC0415

    permissions = _permissions(role or [], allow or [])
    store, now, made = _store(file, config_path), _now(), new_key(secrets.randbelow)
    key = StoredKey(
        id=made.id,
        name=name,
        permissions=permissions,
        created=now,
        certificate=certificate,
        expires_at=_end(expires, now),
        networks=network or [],
        requests_per_s=requests_per_second,
        burst=burst,
        bytes_per_s=bytes_per_second,
    )
    if certificate is None:
        key = hashed(key, made.text, store.pepper)
    try:
        change_stored(store.path, lambda keys: (added(keys, key, now), None), makes=True)
    except KeyChangeRefused as error:
        raise CommandFailed(str(error), hint="`bridge keys list` lists all keys.") from None
    _show_new(Output(output), key, made.text)


def _permissions(roles: list[str], allowed: list[str]) -> list[str]:
    from bridge.policy.access import ROLES  # noqa: PLC0415

    if not (roles or allowed) or not ROLES.keys() >= set(roles):
        raise CommandFailed(
            "What may it?", ExitCode.USAGE, hint=f"--role {'|'.join(ROLES)}, or --allow produce:orders/*."
        )
    return list(dict.fromkeys([text for each in roles for text in ROLES[each]] + allowed))


def _list(
    *, file: _File = None, config_path: ConfigPath = None, output: OutputOption = OutputFormat.TABLE
) -> None:
    """List the keys, those that have ended too; neither they nor their hashes are shown."""
    from bridge.cli.keys.store import read_stored  # noqa: PLC0415

    now = _now()
    keys = sorted(read_stored(_store(file, config_path).path), key=lambda each: (each.name, each.created))
    Output(output).rows(_KEYS, [_row(each, now) for each in keys])


def _rotate(
    name: _Name,
    *,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="How long the keys there are still hold.")
    ] = "24h",
    expires: _Expires = None,
    file: _File = None,
    config_path: ConfigPath = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Make a second key that may the same, show it this once on stdout, and give the first one an end."""
    from bridge.cli.keys.store import change_stored  # noqa: PLC0415
    from bridge.policy.key_changes import KeyChangeRefused, NoSuchKey, rotated  # noqa: PLC0415
    from bridge.policy.key_texts import new_key  # noqa: PLC0415

    store, now, made = _store(file, config_path), _now(), new_key(secrets.randbelow)
    lasts, expires_at = age_of(grace), _end(expires, now)
    ends = moment_of(grace, now, ahead=True)
    try:
        key = change_stored(
            store.path,
            lambda keys: rotated(
                keys, name, made, pepper=store.pepper, grace=lasts, expires_at=expires_at, now=now
            ),
        )
    except NoSuchKey as error:
        raise _no_such_key(error) from None
    except KeyChangeRefused as error:
        raise CommandFailed(str(error)) from None
    out = Output(output)
    out.note(f"The keys of {name} that there were hold until {time_text(ends)} at most.")
    _show_new(out, key, made.text)


def _revoke(
    named: Annotated[str, typer.Argument(metavar="NAME|ID", help="All keys of this name, or one.")],
    *,
    file: _File = None,
    config_path: ConfigPath = None,
) -> None:
    """End a key for good: nobody is let in with it any more, and what is open with it is closed."""
    from bridge.cli.keys.store import change_stored  # noqa: PLC0415
    from bridge.policy.key_changes import NoSuchKey, revoked  # noqa: PLC0415

    now = _now()
    try:
        ended = change_stored(_store(file, config_path).path, lambda keys: revoked(keys, named, now))
    except NoSuchKey as error:
        raise _no_such_key(error) from None
    for each in ended:
        Output(OutputFormat.TABLE).note(f"Revoked {each.id}, of {each.name}.")


def _no_such_key(error: Exception) -> CommandFailed:
    return CommandFailed(str(error), ExitCode.NOT_FOUND, hint="`bridge keys list` lists all keys.")


def _show_new(out: Output, key: "StoredKey", text: str) -> None:
    if key.certificate is not None:
        if out.form is OutputFormat.TABLE:
            out.note(f"{key.name}, id {key.id}: {' '.join(key.permissions)}, by its certificate.")
        else:
            out.one({"id": key.id, "name": key.name, "certificate": key.certificate}, ())
        return
    if out.form is not OutputFormat.TABLE:
        out.one({"id": key.id, "name": key.name, "key": text}, ())
        return
    out.note(f"{key.name}, id {key.id}: {' '.join(key.permissions)}. It is shown this once:")
    out.text(text)


def _row(key: "StoredKey", now: datetime) -> dict[str, Any]:
    state = "in force"
    if key.revoked_at is not None:
        state = "revoked"
    elif key.ended(now):
        state = "expired"
    return {
        "id": key.id,
        "name": key.name,
        "state": state,
        "certificate": key.certificate,
        "permissions": key.permissions,
        "expires_at": _shown(key.expires_at),
        "networks": key.networks,
        "requests_per_s": key.requests_per_s,
        "burst": key.burst,
        "bytes_per_s": key.bytes_per_s,
        "created": _shown(key.created),
        "revoked_at": _shown(key.revoked_at),
    }


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment.astimezone(UTC))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _end(text: str | None, now: datetime) -> datetime | None:
    """When a key ends: so long from now, or at a time that is to come."""
    if text is None:
        return None
    moment = moment_of(text, now, ahead=True)
    if moment - now < timedelta(seconds=1):
        raise CommandFailed("This key would have ended already.", ExitCode.USAGE)
    return moment
