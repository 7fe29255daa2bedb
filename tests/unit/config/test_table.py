"""Claims of the table of settings."""

import re
from pathlib import Path

from bridge.config import SETTINGS, SETTINGS_BY_ENV
from bridge.config.settings import default_text, range_text

#: Names and defaults of the original service (shared api.md, "Configuration").
ORIGINAL = {
    "HOST": "127.0.0.1",
    "PORT": "8000",
    "LOG_LEVEL": "info",
    "IGGY_CONNECTION_STRING": "",
    "IGGY_STREAM": "sample-stream",
    "IGGY_TOPIC": "events",
    "IGGY_PARTITIONS": "3",
    "MAX_RECONNECT_ATTEMPTS": "0",
    "RECONNECT_BASE_DELAY_MS": "1000",
    "RECONNECT_MAX_DELAY_MS": "30000",
    "HEALTH_CHECK_INTERVAL_SECS": "30",
    "OPERATION_TIMEOUT_SECS": "30",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "5",
    "CIRCUIT_BREAKER_SUCCESS_THRESHOLD": "2",
    "CIRCUIT_BREAKER_OPEN_DURATION_SECS": "30",
    "RATE_LIMIT_RPS": "100",
    "RATE_LIMIT_BURST": "50",
    "TRUSTED_PROXIES": "",
    "API_KEY": "",
    "AUTH_BYPASS_PATHS": "/health,/ready",
    "CORS_ALLOWED_ORIGINS": "",
    "BATCH_MAX_SIZE": "1000",
    "POLL_MAX_COUNT": "100",
    "MAX_REQUEST_BODY_SIZE": "10485760",
    "STATS_CACHE_TTL_SECS": "5",
    "METRICS_PORT": "",
    "DATA_DIR": "./data",
    "DURABILITY": "persisted",
    "ALLOW_ANONYMOUS": "false",
    "WORKERS": "1",
}


def test_every_setting_of_the_contract_is_there_with_its_default() -> None:
    shown = {each.env: default_text(each) for each in SETTINGS}
    assert {env: shown.get(env) for env in ORIGINAL} == ORIGINAL


def test_names_are_unique_in_environment_flags_and_file() -> None:
    assert len(SETTINGS_BY_ENV) == len(SETTINGS)
    assert len({each.flag for each in SETTINGS}) == len(SETTINGS)
    keys = [each.key for each in SETTINGS] + [each.file_key for each in SETTINGS if each.spec.secret]
    assert len(set(keys)) == len(keys)


def test_every_number_is_bounded_and_its_default_is_within() -> None:
    for each in SETTINGS:
        if each.kind.name in ("WHOLE", "NUMBER"):
            low, high = each.spec.minimum, each.spec.maximum
            assert low is not None, each.env
            assert high is not None, each.env
            assert each.default is None or low <= each.default <= high, each.env


def test_no_secret_has_a_flag_that_takes_its_value() -> None:
    for each in SETTINGS:
        assert not each.spec.secret or each.flag.endswith("-file")
        assert re.fullmatch(r"--[a-z][a-z-]*", each.flag)


def test_every_setting_says_what_it_is() -> None:
    for each in SETTINGS:
        assert each.spec.help, each.env
        assert range_text(each), each.env


def test_every_setting_is_read_somewhere_outside_of_its_table() -> None:
    """A setting that nothing reads promises what is not there."""
    root = Path(__file__).parents[3] / "bridge"
    code = "\n".join(path.read_text() for path in root.rglob("*.py") if path.name != "sections.py")
    unread = [each.field for each in SETTINGS if not re.search(rf"\.{each.field}\b", code)]
    assert unread == []
