"""From text to a setting's value (pure)."""

import re
from collections.abc import Callable
from typing import Any

from bridge.config.settings import Kind, Setting, range_text

__all__ = ("WrongValue", "text_of_toml", "value_of_text")

# Narrower than int() and float(), which take "1_000", "٣", "nan" and blanks.
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SHOWN_CHARS_MAX = 40


class WrongValue(ValueError):
    """The text is no value of this setting; its message says what is allowed."""


def _wrong(setting: Setting, text: str) -> WrongValue:
    must = f"must be {range_text(setting)}"
    if setting.spec.secret:
        return WrongValue(must)
    shown = repr(text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…")
    return WrongValue(f"{must}, not {shown}")


def _list(_: Setting, text: str) -> tuple[str, ...]:
    return tuple(part for each in text.split(",") if (part := each.strip()))


def _yes_no(setting: Setting, text: str) -> bool:
    if (word := _WORDS.get(text.lower())) is None:
        raise WrongValue(f"{_wrong(setting, text)} (also yes, no, 1, 0)")
    return word


def _number(setting: Setting, text: str) -> float:
    pattern, kind = (_WHOLE, int) if setting.kind is Kind.WHOLE else (_NUMBER, float)
    word = setting.spec.word
    if word is not None and text.lower() == word[0]:
        return word[1]
    if not pattern.fullmatch(text):
        raise _wrong(setting, text)
    value = kind(text)
    low, high = setting.spec.minimum, setting.spec.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise _wrong(setting, text)
    return value


def _text(setting: Setting, text: str) -> str:
    chosen = text.lower() if setting.spec.choices else text
    if not text or (setting.spec.choices and chosen not in setting.spec.choices):
        raise _wrong(setting, text)
    if not text.isprintable():
        raise WrongValue("must not hold control characters")
    return chosen


_READERS: dict[Kind, Callable[[Setting, str], Any]] = {
    Kind.LIST: _list,
    Kind.YES_NO: _yes_no,
    Kind.WHOLE: _number,
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
}


def value_of_text(setting: Setting, text: str) -> Any:
    """
    The value of *text*, blanks around it taken off (not off a secret: there they are a mistake to be told).

    Raises:
        WrongValue: if it is none; the message never holds the text of a secret.
    """
    if setting.spec.secret:
        return _secret(text)
    text = text.strip()
    if not text and setting.optional:
        return None
    return _READERS[setting.kind](setting, text)


def _secret(text: str) -> str | None:
    if not text:
        return None
    if not text.strip():
        raise WrongValue("must not be blank; leave it out or empty for none")
    if text != text.strip():
        raise WrongValue("must not begin or end with a blank")
    if not (text.isascii() and text.isprintable()):
        raise WrongValue("must be printable ASCII")
    return text


def text_of_toml(setting: Setting, value: object) -> str:
    """
    A value of a TOML file as the text that the environment would have.

    Raises:
        WrongValue: if the type is not one this setting can have.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else "out of range"  # noqa: PLR2004 (nan and inf too)
    if isinstance(value, list) and setting.kind is Kind.LIST and all(_is_plain(each) for each in value):
        return ",".join(value)
    raise WrongValue(f"must be {range_text(setting)}")


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and "," not in value
