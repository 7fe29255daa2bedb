"""What settings must be by what other rooms know, which `config` does not (wiring)."""

from collections.abc import Iterator
from importlib.util import find_spec

from bridge.config import Config, ConfigFault, Rule
from bridge.errors import BadRequest, ConfigError
from bridge.policy.names import check_name
from bridge.process.encryption import payloads_can_be_encrypted
from bridge.process.keys import keys_can_be_used
from bridge.process.tokens import tokens_can_be_checked


def names_are_names(config: Config) -> Iterator[ConfigFault]:
    for env, kind, name in (
        ("IGGY_STREAM", "stream", config.log.stream),
        ("IGGY_TOPIC", "topic", config.log.topic),
        ("GROUPS_STREAM", "stream", config.groups.stream),
    ):
        try:
            check_name(name, kind=kind)
        except BadRequest as error:
            yield ConfigFault((env,), error.detail)


def connection_string_is_one(config: Config) -> Iterator[ConfigFault]:
    text = config.iggy.connection_string
    if text is None:
        return
    from bridge.iggy.address import parse_connection_string  # noqa: PLC0415 (a room that the embedded log does without)

    try:
        parse_connection_string(text)
    except ConfigError as error:
        env = "IGGY_CONNECTION_STRING"
        for fault in error.faults:
            yield ConfigFault((env,), fault.removeprefix(f"{env}: "))


def spans_can_be_exported(config: Config) -> Iterator[ConfigFault]:
    if config.observe.exports_spans and find_spec("opentelemetry") is None:
        yield ConfigFault(("TRACING",), "otlp needs the extra that exports spans: pip install 'bridge[otlp]'")


def tls_files_can_be_used(config: Config) -> Iterator[ConfigFault]:
    if config.tls.cert_file is None:
        return
    from bridge.process.tls import load_tls  # noqa: PLC0415 (plain HTTP does without)

    try:
        load_tls(config.tls)
    except ConfigError as error:
        for fault in error.faults:
            env, _, text = fault.partition(": ")
            yield ConfigFault(tuple(env.split(" / ")), text)


def limits_can_be_shared(config: Config) -> Iterator[ConfigFault]:
    uri = config.http.rate_limit_storage_uri
    if uri is None:
        return
    env = ("RATE_LIMIT_STORAGE_URI",)
    if find_spec("redis") is None:
        yield ConfigFault(env, "needs the extra that speaks to Redis: pip install 'bridge[redis]'")
        return
    from redis.asyncio.connection import parse_url  # noqa: PLC0415 (an extra)

    try:
        parse_url(uri)
    except ValueError:
        # Its text may hold a part of the address, and so of the password.
        yield ConfigFault(env, "must be redis://host:port/db, rediss://host:port/db or unix:///path?db=0")


WIRING_RULES: tuple[Rule, ...] = (
    names_are_names,
    connection_string_is_one,
    spans_can_be_exported,
    payloads_can_be_encrypted,
    tls_files_can_be_used,
    keys_can_be_used,
    tokens_can_be_checked,
    limits_can_be_shared,
)
