"""Claims of `telemetry.log_fields`: one line, short, no secrets."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.limits import LOG_FIELD_CHARS_MAX, LOG_TRACEBACK_CHARS_MAX
from bridge.telemetry.log_fields import (
    HIDDEN,
    are_clean,
    clean_field,
    clean_text,
    clean_traceback,
    is_secret_name,
)


@given(st.text(st.characters()))
def test_any_text_becomes_one_printable_line_that_has_a_utf8_form(text: str) -> None:
    shown = clean_text(text)
    assert "\n" not in shown
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)
    shown.encode()


@pytest.mark.parametrize(
    "text,shown",
    [
        ("a\nb", "a\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("grün …", "grün …"),
    ],
)
def test_what_moves_a_cursor_or_reorders_text_is_spelled_out(text: str, shown: str) -> None:
    assert clean_text(text) == shown


def test_a_text_at_the_bound_is_whole_and_one_beyond_is_cut_with_a_mark() -> None:
    assert clean_text("x" * LOG_FIELD_CHARS_MAX) == "x" * LOG_FIELD_CHARS_MAX
    assert clean_text("x" * (LOG_FIELD_CHARS_MAX + 1)) == "x" * LOG_FIELD_CHARS_MAX + "…"
    assert len(clean_text("x" * 1_000_000)) == LOG_FIELD_CHARS_MAX + 1


@given(st.lists(st.text(st.characters(), max_size=LOG_FIELD_CHARS_MAX + 2), min_size=1, max_size=4))
@example(["x" * LOG_FIELD_CHARS_MAX, "0"])
@example(["0", "x" * (LOG_FIELD_CHARS_MAX + 1)])
@example(["0", "brk_aaaaaaaa_secret"])
@example(["a\n"])
def test_texts_that_are_clean_together_are_each_shown_as_they_are(texts: list[str]) -> None:
    if are_clean(texts):
        assert [clean_text(text) for text in texts] == texts


def test_ids_of_requests_are_clean_together() -> None:
    assert are_clean(["7f2c1a52-6c1f-4d0e-9a3b-0f5a3c0d9e11", "a" * LOG_FIELD_CHARS_MAX, "-.:"])


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "X-API-Key",
        "password",
        "iggy_password",
        "Authorization",
        "cookie",
        "client_secret",
        "token",
        "connection_string",
    ],
)
def test_a_field_with_a_secret_s_name_is_hidden(name: str) -> None:
    assert is_secret_name(name)
    assert clean_field(name, "hunter2") == HIDDEN
    assert clean_field(name, 5) == HIDDEN
    assert clean_field(name, None) is None


@pytest.mark.parametrize("name", ["key", "partition_key", "path", "status", "client", "request_id"])
def test_an_ordinary_field_is_shown(name: str) -> None:
    assert clean_field(name, "hunter2") == "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach iggy://user:hunter2@host:8090",
        "GET /messages?api_key=hunter2&count=1 HTTP/1.1",
        "no such key: brk_a1b2c3d4_hunter2_0aZ9xY",
        "GET /messages?API_KEY=hunter2",
        "x" * 250 + " iggy://user:hunter2@host",
    ],
)
def test_credentials_inside_a_text_are_hidden(text: str) -> None:
    assert "hunter2" not in clean_text(text)
    assert "hunter2" not in clean_traceback(text)


def test_numbers_stay_numbers_and_everything_else_becomes_text() -> None:
    assert clean_field("n", 1) == 1
    assert clean_field("n", 1.5) == 1.5
    assert clean_field("n", value=True) is True
    assert clean_field("n", None) is None
    assert clean_field("n", ("a\n", 1)) == ["a\\n", "1"]
    assert len(clean_field("n", range(3))) == len("range(0, 3)")
    assert len(clean_field("n", list(range(1000)))) == 50


def test_a_traceback_keeps_its_lines_its_head_and_its_tail() -> None:
    assert clean_traceback("a\n\tb\x1b") == "a\n\tb\\x1b"
    long = clean_traceback("head" + "x" * LOG_TRACEBACK_CHARS_MAX + "tail")
    assert long.startswith("head")
    assert long.endswith("tail")
    assert len(long) < LOG_TRACEBACK_CHARS_MAX + 10
