"""Claims of `config.parse`: where settings come from, and that nothing wrong stays untold."""

from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import Config, ConfigFault, Inputs, SecretFile, parse
from bridge.config.parse import Effective
from bridge.errors import ConfigError

DELAYS_TOLD = "the first delay (50000) must not be longer than the longest (30000)"
NETWORKS_TOLD = "write 10.0.0.0/8 with no bits set after the prefix, or one address"


def parsed(
    environ: Mapping[str, str] | None = None,
    *,
    flags: Mapping[str, str] | None = None,
    toml: str | None = None,
    files: Mapping[str, SecretFile] | None = None,
) -> Effective:
    def read_secret(path: str) -> SecretFile:
        try:
            return (files or {})[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    return parse(Inputs(flags=flags or {}, environ=environ or {}, toml_text=toml, read_secret=read_secret))


def faults(
    environ: Mapping[str, str] | None = None,
    *,
    flags: Mapping[str, str] | None = None,
    toml: str | None = None,
    files: Mapping[str, SecretFile] | None = None,
) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parsed(environ, flags=flags, toml=toml, files=files)
    return caught.value.faults


def test_nothing_given_is_the_defaults() -> None:
    effective = parsed()
    assert effective.config == Config()
    assert set(effective.sources.values()) == {"default"}
    assert effective.warnings == ()


def test_files_of_tls_that_nobody_would_read_are_faults() -> None:
    assert len(faults({"TLS_KEY_FILE": "k", "TLS_CLIENT_CA_FILE": "c"})) == 2
    (fault,) = faults({"TLS_CERT_FILE": "c", "TLS_CLIENT_CRL_FILE": "l"})
    assert "without TLS_CLIENT_CA_FILE no client is asked: set both" in fault


def test_flags_go_over_environment_over_file_over_default() -> None:
    toml = "port = 1\nrate_limit_rps = 1\npoll_max_count = 1\n"
    effective = parsed({"PORT": "2", "RATE_LIMIT_RPS": "2"}, flags={"PORT": "3"}, toml=toml)
    http = effective.config.http
    assert (http.port, http.rate_limit_rps, http.poll_messages_max, http.batch_messages_max) == (
        3,
        2,
        1,
        1000,
    )
    named = [effective.sources[env] for env in ("PORT", "RATE_LIMIT_RPS", "POLL_MAX_COUNT", "BATCH_MAX_SIZE")]
    assert named == ["flag", "environment", "file", "default"]


def test_every_fault_is_told_at_once_each_with_its_variable_source_and_what_is_allowed() -> None:
    told = faults(
        {"RATE_LIMIT_RPS": "many", "RECONNECT_BASE_DELAY_MS": "50000", "TRUSTED_PROXIES": "10.0.0.1/8"},
        flags={"PORT": "65536"},
        toml="batch_max_size = true\nprot = 1\n",
    )
    assert sorted(told) == sorted(
        [
            "PORT (flag): must be a whole number from 0 to 65535, not '65536'",
            "BATCH_MAX_SIZE (file): must be a whole number from 1 to 100000, not 'true'",
            "'prot' (file): no such setting; did you mean port?",
            "RATE_LIMIT_RPS (environment): must be a whole number from 0 to 1000000, not 'many'",
            "RECONNECT_BASE_DELAY_MS / RECONNECT_MAX_DELAY_MS (environment): " + DELAYS_TOLD,
            "TRUSTED_PROXIES (environment): '10.0.0.1/8' is no network; " + NETWORKS_TOLD,
        ]
    )


@pytest.mark.parametrize(
    "env,text,value",
    [
        ("ALLOW_ANONYMOUS", "true", True),
        ("ALLOW_ANONYMOUS", "YES", True),
        ("ALLOW_ANONYMOUS", "1", True),
        ("ALLOW_ANONYMOUS", "False", False),
        ("ALLOW_ANONYMOUS", "no", False),
        ("ALLOW_ANONYMOUS", " 0 ", False),
        ("PORT", " 0 ", 0),
        ("PORT", "65535", 65535),
        ("OPERATION_TIMEOUT_SECS", "0.1", 0.1),
        ("OPERATION_TIMEOUT_SECS", "300", 300.0),
        ("TRUSTED_PROXIES", " 10.0.0.0/8 ,, ::1 ", ("10.0.0.0/8", "::1")),
        ("AUTH_BYPASS_PATHS", "", ()),
        ("LOG_LEVEL", "DEBUG", "debug"),
        ("METRICS_PORT", "0", 0),
        ("METRICS_PORT", "", None),
        ("API_KEY", "", None),
        ("IGGY_CONNECTION_STRING", "", None),
        ("API_KEY", "k" * 32, "k" * 32),
    ],
)
def test_a_value_is_read_as_it_is_meant(env: str, text: str, value: object) -> None:
    effective = parsed({env: text})
    shown = {setting.env: (setting, shown) for setting, shown, _ in effective.rows()}
    setting = shown[env][0]
    assert getattr(getattr(effective.config, setting.section), setting.field) == value


@pytest.mark.parametrize(
    "env,text",
    [
        ("PORT", ""),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "80.0"),
        ("PORT", "8_000"),
        ("PORT", "٣"),
        ("PORT", "0x50"),
        ("OPERATION_TIMEOUT_SECS", "0.09"),
        ("OPERATION_TIMEOUT_SECS", "300.1"),
        ("OPERATION_TIMEOUT_SECS", "nan"),
        ("OPERATION_TIMEOUT_SECS", "inf"),
        ("OPERATION_TIMEOUT_SECS", "1e1"),
        ("ALLOW_ANONYMOUS", "on"),
        ("ALLOW_ANONYMOUS", ""),
        ("LOG_LEVEL", "loud"),
        ("HOST", ""),
        ("HOST", "[::1]"),
        ("HOST", "http://localhost"),
        ("DATA_DIR", "a\x00b"),
        ("WORKERS", "2"),
        ("WORKERS", "0"),
        ("WORKERS", "65"),
        ("WORKERS", "many"),
        ("MAX_IN_FLIGHT_REQUESTS", "0"),
        ("API_KEY", "   "),
        ("API_KEY", "key "),
        ("API_KEY", "schlüssel"),
        ("AUTH_BYPASS_PATHS", "health"),
        ("AUTH_BYPASS_PATHS", "/health?x"),
        ("ALLOWED_HOSTS", "bridge:8000"),
        ("ALLOWED_HOSTS", "http://bridge"),
        ("ALLOWED_HOSTS", "bridge/"),
        ("ALLOWED_HOSTS", "*bridge"),
        ("ALLOWED_HOSTS", "a.*.example"),
        ("ALLOWED_HOSTS", "-bridge"),
        ("CORS_ALLOWED_ORIGINS", "*,https://a.example"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example/"),
        ("CORS_ALLOWED_ORIGINS", "a.example"),
        ("CORS_ALLOWED_ORIGINS", "null"),
        ("DRAIN_DELAY_SECS", "25"),
        ("METRICS_PORT", "8000"),
        ("GROUPS_STREAM", "Sample-Stream"),
    ],
)
def test_a_value_out_of_bounds_is_one_fault_that_names_its_variable(env: str, text: str) -> None:
    told = faults({env: text})
    assert len(told) == 1
    assert env in told[0]
    assert "(environment)" in told[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "bridge.example"])
def test_an_address_beyond_this_machine_needs_a_key_or_an_explicit_yes(host: str) -> None:
    (told,) = faults({"HOST": host})
    assert "ALLOW_ANONYMOUS=true" in told
    assert parsed({"HOST": host, "API_KEY": "k" * 32}).config.http.host == host
    assert parsed({"HOST": host, "ALLOW_ANONYMOUS": "true"}).config.http.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert parsed({"HOST": host}).config.http.api_key is None


def test_a_faulty_key_is_not_told_a_second_time_as_a_missing_one() -> None:
    assert len(faults({"HOST": "0.0.0.0", "API_KEY": " "})) == 1


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_comes_from_its_file_without_the_line_break_at_the_end(ending: str) -> None:
    files = {"/run/secrets/key": SecretFile("k" * 32 + ending)}
    effective = parsed({"API_KEY_FILE": "/run/secrets/key"}, files=files)
    assert effective.config.http.api_key == "k" * 32
    assert effective.sources["API_KEY"] == "environment, API_KEY_FILE"


def test_a_secret_file_can_be_named_by_flag_and_toml_too() -> None:
    files = {"a": SecretFile("a" * 32), "b": SecretFile("b" * 32)}
    assert (
        parsed(flags={"API_KEY_FILE": "a"}, toml='api_key_file = "b"', files=files).config.http.api_key
        == "a" * 32
    )
    assert parsed(toml='api_key_file = "b"', files=files).config.http.api_key == "b" * 32


def test_a_secret_and_its_file_together_are_a_fault() -> None:
    (told,) = faults({"API_KEY": "k" * 32, "API_KEY_FILE": "a"}, files={"a": SecretFile("k" * 32)})
    assert "API_KEY or API_KEY_FILE, not both" in told


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_secret_file_is_a_fault_and_not_no_key(text: str) -> None:
    (told,) = faults({"API_KEY_FILE": "a"}, files={"a": SecretFile(text)})
    assert told == "API_KEY (environment, API_KEY_FILE): the file is empty"


def test_a_secret_file_that_cannot_be_read_says_why() -> None:
    (told,) = faults({"API_KEY_FILE": "/nowhere"})
    assert told == "API_KEY (environment, API_KEY_FILE): the file cannot be read: No such file or directory"


def test_a_secret_file_that_is_no_text_says_so() -> None:
    def read_secret(path: str) -> SecretFile:
        return SecretFile(b"\xff".decode())

    with pytest.raises(ConfigError, match="no UTF-8"):
        parse(Inputs(flags={}, environ={"API_KEY_FILE": "a"}, read_secret=read_secret))


def test_a_secret_file_that_everybody_may_read_is_warned_of() -> None:
    files = {"a": SecretFile("k" * 32, open_to_others=True)}
    (warning,) = parsed({"API_KEY_FILE": "a"}, files=files).warnings
    assert warning.startswith("API_KEY_FILE:")


def test_no_fault_warning_or_representation_shows_a_secret() -> None:
    secret = "hunter2hunter2hunter2 "
    assert all(secret.strip() not in told for told in faults({"API_KEY": secret, "PORT": "x"}))
    effective = parsed({"API_KEY": "hunter2"})
    assert "hunter2" not in repr(effective)
    assert "hunter2" not in str(effective.warnings)
    assert not any("hunter2" in str(row) for row in effective.rows())


def test_a_file_that_is_no_toml_is_told_with_its_line() -> None:
    (told,) = faults(toml="port = 1\nport 2\n")
    assert told.startswith("--config: no TOML:")
    assert "line 2" in told


@pytest.mark.parametrize(
    "toml,allowed",
    [
        ("port = 'x'", "whole number"),
        ("port = 1.5", "whole number"),
        ("port = [1]", "whole number"),
        ("[port]\na = 1", "whole number"),
        ("operation_timeout_secs = inf", "a number"),
        ("operation_timeout_secs = nan", "a number"),
        ("trusted_proxies = [1]", "list"),
        ("trusted_proxies = ['10.0.0.0/8,::1']", "list"),
        ("host = 2026-01-01", "text"),
    ],
)
def test_a_toml_value_of_another_type_is_a_fault(toml: str, allowed: str) -> None:
    (told,) = faults(toml=toml)
    assert allowed in told
    assert "(file)" in told


def test_toml_has_numbers_booleans_and_lists_of_its_own() -> None:
    toml = "port = 81\noperation_timeout_secs = 0.5\nallow_anonymous = true\ntrusted_proxies = ['::1', '10.0.0.0/8']"
    http = parsed(toml=toml).config.http
    assert (http.port, http.operation_timeout_s, http.allow_anonymous) == (81, 0.5, True)
    assert http.trusted_proxies == ("::1", "10.0.0.0/8")


def test_an_unknown_key_far_from_any_of_ours_gets_no_guess() -> None:
    (told,) = faults(toml="zzzzzzzz = 1")
    assert told == "'zzzzzzzz' (file): no such setting"


@pytest.mark.parametrize(
    "name", ["RATELIMIT_RPS", "rate_limit_rps", "IGGY_CONNECTION_STRNG", "AUTH_BYPASS_PATH"]
)
def test_an_environment_name_that_nearly_is_ours_is_warned_of(name: str) -> None:
    (warning,) = parsed({name: "1"}).warnings
    assert "did you mean" in warning


@pytest.mark.parametrize(
    "name", ["HOSTNAME", "PATH", "IGGY_PORT", "IGGY_SERVICE_HOST", "XDG_DATA_DIRS", "LC_ALL"]
)
def test_the_environment_of_others_is_left_alone(name: str) -> None:
    assert parsed({name: "tcp://x"}).warnings == ()


def test_what_works_and_is_probably_not_meant_is_warned_of() -> None:
    warnings = parsed({"API_KEY": "short", "DURABILITY": "replicated"}).warnings
    assert [warning.split()[0] for warning in warnings] == ["API_KEY", "DURABILITY"]
    assert parsed({"CORS_ALLOWED_ORIGINS": "*"}).warnings[0].startswith("CORS_ALLOWED_ORIGINS")


def test_whoever_serves_others_without_a_key_is_told_of_the_names_that_they_use() -> None:
    anonymous = {"HOST": "0.0.0.0", "ALLOW_ANONYMOUS": "true"}
    (warning,) = parsed(anonymous).warnings
    assert "ALLOWED_HOSTS" in warning
    assert parsed({**anonymous, "ALLOWED_HOSTS": "bridge"}).warnings == ()
    assert parsed({"HOST": "0.0.0.0", "API_KEY": "0123456789abcdef"}).warnings == ()


@pytest.mark.parametrize(
    "host",
    ["bridge", "b_1.Example.com", "example.com.", "*.example.com", "*", "10.0.0.1", "::1", "[2001:db8::1]"],
)
def test_names_and_addresses_are_hosts(host: str) -> None:
    assert parsed({"ALLOWED_HOSTS": f" {host} , x"}).config.http.allowed_hosts == (host, "x")


def test_a_rule_of_another_room_is_told_with_the_rest_unless_its_setting_is_faulty_already() -> None:
    def rule(config: Config) -> tuple[ConfigFault, ...]:
        return (ConfigFault(("IGGY_STREAM",), "bad name"), ConfigFault(("PORT",), "odd port"))

    with pytest.raises(ConfigError) as caught:
        parse(Inputs(flags={}, environ={"PORT": "x", "IGGY_STREAM": "a b"}), rules=(rule,))
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "PORT (environment)",
        "IGGY_STREAM (environment)",
    ]


@given(
    st.dictionaries(st.sampled_from(["PORT", "HOST", "API_KEY", "TRUSTED_PROXIES", "LOG_LEVEL"]), st.text()),
    st.text(),
)
def test_any_text_at_all_is_either_read_or_a_configuration_error(environ: dict[str, str], toml: str) -> None:
    for text in (None, toml):
        with suppress(ConfigError):
            parse(Inputs(flags={}, environ=environ, toml_text=text))


@given(st.text())
def test_a_fault_is_one_printable_line_whatever_was_written(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Inputs(flags={}, environ={"PORT": f"x{text}", "TRUSTED_PROXIES": "x"}, toml_text=f"x={text}"))
    assert all(fault.isprintable() for fault in caught.value.faults)
