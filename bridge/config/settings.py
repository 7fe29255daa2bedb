"""Every setting with its names, kind and default (pure), read off the sections."""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from enum import Enum
from types import UnionType
from typing import Any, NamedTuple, get_args, get_type_hints

from bridge.config.sections import Config
from bridge.config.setting import SettingSpec


class Kind(Enum):
    """What a setting's text is read as."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    YES_NO = "true or false"
    LIST = "comma-separated list"


_KINDS: dict[Any, Kind] = {
    str: Kind.TEXT,
    int: Kind.WHOLE,
    float: Kind.NUMBER,
    bool: Kind.YES_NO,
    tuple[str, ...]: Kind.LIST,
}


class Setting(NamedTuple):
    """One setting.

    Attributes:
        section: field of `Config`, e.g. "http".
        field: field of the section, e.g. "rate_limit_rps".
        optional: None is allowed, and is what an empty text means.
    """

    section: str
    field: str
    kind: Kind
    optional: bool
    default: Any
    spec: SettingSpec

    @property
    def env(self) -> str:
        """Name in the environment."""
        return self.spec.env

    @property
    def key(self) -> str:
        """Key in the TOML file."""
        return self.spec.env.lower()

    @property
    def flag(self) -> str:
        """Flag of the command line; a secret's names a file, since arguments can be read by everybody."""
        return f"--{self.file_key if self.spec.secret else self.key}".replace("_", "-")

    @property
    def file_env(self) -> str:
        """Name in the environment of the file that holds a secret."""
        return f"{self.spec.env}_FILE"

    @property
    def file_key(self) -> str:
        """Key in the TOML file of the file that holds a secret."""
        return self.file_env.lower()


def _settings() -> Iterator[Setting]:
    for section_name, section in get_type_hints(Config).items():
        hints = get_type_hints(section)
        for each in fields(section):
            if "setting" not in each.metadata:
                continue
            if each.default is MISSING:
                raise TypeError(f"{section.__name__}.{each.name} has no default")
            hint = hints[each.name]
            optional = isinstance(hint, UnionType)
            if optional:
                (hint,) = (part for part in get_args(hint) if part is not type(None))
            yield Setting(
                section_name, each.name, _KINDS[hint], optional, each.default, each.metadata["setting"]
            )


#: How sections are headed, for people.
SECTION_TITLES = {
    "http": "HTTP",
    "tokens": "Tokens of an identity provider",
    "tls": "TLS",
    "log": "Default topic",
    "iggy": "Apache Iggy",
    "local": "Embedded log",
    "groups": "Groups",
    "encryption": "Encryption of stored payloads",
    "observe": "Logs and metrics",
}

#: In the order in which they are shown.
SETTINGS: tuple[Setting, ...] = tuple(_settings())
SETTINGS_BY_ENV: dict[str, Setting] = {each.env: each for each in SETTINGS}


def _number_text(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) and not value.is_integer() else str(int(value))


def range_text(setting: Setting) -> str:
    """What is allowed, in words: "a whole number from 0 to 65535"."""
    spec = setting.spec
    if spec.choices:
        return f"one of {', '.join(spec.choices)}"
    if setting.kind not in (Kind.WHOLE, Kind.NUMBER):
        return "text" if setting.kind is Kind.TEXT else f"{setting.kind.value}"
    text = f"a {setting.kind.value}" if spec.word is None else f"{spec.word[0]} or a {setting.kind.value}"
    if spec.minimum is not None and spec.maximum is not None:
        return f"{text} from {_number_text(spec.minimum)} to {_number_text(spec.maximum)}"
    return text


def shown_value(setting: Setting, value: Any) -> Any:
    """*value*, or the word that stands for it."""
    word = setting.spec.word
    return word[0] if word is not None and value == word[1] else value


def default_text(setting: Setting) -> str:
    """The default as it would be written in the environment, empty where there is none."""
    value = shown_value(setting, setting.default)
    if value is None:
        return ""
    if setting.kind is Kind.LIST:
        return ",".join(value)
    if setting.kind is Kind.YES_NO:
        return "true" if value else "false"
    return _number_text(value) if setting.kind in (Kind.WHOLE, Kind.NUMBER) else str(value)
