"""From flags, environment, file and defaults to a `Config`, or to the list of all that is wrong (pure)."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, get_type_hints

from bridge.config.rules import RULES, ConfigFault, Rule, advice
from bridge.config.sections import Config
from bridge.config.settings import SETTINGS, SETTINGS_BY_ENV, Kind, Setting, range_text, shown_value
from bridge.errors import ConfigError

# Narrower than int() and float(), which take "1_000", "٣", "nan" and blanks.
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SHOWN_CHARS_MAX = 40


class _WrongValue(ValueError):
    """The text is no value of this setting; its message says what is allowed."""


def _wrong(setting: Setting, text: str) -> _WrongValue:
    must = f"must be {range_text(setting)}"
    if setting.spec.secret:
        return _WrongValue(must)
    shown = repr(text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…")
    return _WrongValue(f"{must}, not {shown}")


def _list(_: Setting, text: str) -> tuple[str, ...]:
    return tuple(part for each in text.split(",") if (part := each.strip()))


def _yes_no(setting: Setting, text: str) -> bool:
    if (word := _WORDS.get(text.lower())) is None:
        raise _WrongValue(f"{_wrong(setting, text)} (also yes, no, 1, 0)")
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
        raise _WrongValue("must not hold control characters")
    return chosen


_READERS: dict[Kind, Callable[[Setting, str], Any]] = {
    Kind.LIST: _list,
    Kind.YES_NO: _yes_no,
    Kind.WHOLE: _number,
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
}


def _value_of_text(setting: Setting, text: str) -> Any:
    """The value of *text*, blanks around it taken off (not off a secret: there they are a mistake to be told).

    Raises:
        _WrongValue: if it is none; the message never holds the text of a secret.
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
        raise _WrongValue("must not be blank; leave it out or empty for none")
    if text != text.strip():
        raise _WrongValue("must not begin or end with a blank")
    if not (text.isascii() and text.isprintable()):
        raise _WrongValue("must be printable ASCII")
    return text


def _text_of_toml(setting: Setting, value: object) -> str:
    """A value of a TOML file as the text that the environment would have.

    Raises:
        _WrongValue: if the type is not one this setting can have.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else "out of range"  # noqa: PLR2004 (nan and inf too)
    if isinstance(value, list) and setting.kind is Kind.LIST and all(_is_plain(each) for each in value):
        return ",".join(value)
    raise _WrongValue(f"must be {range_text(setting)}")


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and "," not in value


_HIDDEN = "***"
# Names shorter than this are near too many that belong to others.
_NEAR_MISS_CHARS_MIN = 7
_NEAR_MISS_RATIO = 0.88


class SecretFile(NamedTuple):
    """A file that holds a secret.

    Attributes:
        text: what it holds, as it is.
        open_to_others: whether every user of the machine may read it.
    """

    text: str
    open_to_others: bool = False


def without_line_break(text: str) -> str:
    """The secret in the *text* of its file: editors and `kubectl create secret --from-file` leave one line break at the end."""
    return text.removesuffix("\n").removesuffix("\r")


def _no_files(path: str) -> SecretFile:
    raise FileNotFoundError(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything a configuration is made from.

    Attributes:
        flags: what the command line gave, by environment name (`API_KEY_FILE` for a secret).
        environ: the environment; names that are not ours are left alone.
        toml_text: content of the `--config` file, None without one.
        read_secret: reads the file of a secret; raises `OSError` or `UnicodeDecodeError`.
    """

    flags: Mapping[str, str]
    environ: Mapping[str, str]
    toml_text: str | None = None
    read_secret: Callable[[str], SecretFile] = _no_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """A configuration that can be used, and where each setting came from.

    Attributes:
        sources: by environment name: "flag", "environment", "file" or "default"; " (API_KEY_FILE)" is added where
            the value was read from a secret's file.
        warnings: sentences for the operator.
    """

    config: Config
    sources: Mapping[str, str]
    warnings: tuple[str, ...]

    def rows(self) -> Iterator[tuple[Setting, Any, str]]:
        """Each setting with its value, fit to be shown, and its source."""
        for setting in SETTINGS:
            value = getattr(getattr(self.config, setting.section), setting.field)
            shown = _HIDDEN if setting.spec.secret and value is not None else shown_value(setting, value)
            yield setting, shown, self.sources[setting.env]


class _Raw(NamedTuple):
    text: str
    source: str


class _Reader:
    """Looks each setting up in its sources and gathers what is wrong."""

    def __init__(self, inputs: Inputs) -> None:
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.faulty: set[str] = set()
        self.sources: dict[str, str] = {}
        self.secret_files: dict[str, str] = {}
        self._inputs = inputs
        self._file = self._toml(inputs.toml_text)

    def _toml(self, text: str | None) -> dict[str, object]:
        if text is None:
            return {}
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.faults.append(f"--config: no TOML: {error}")
            return {}
        known = [each.key for each in SETTINGS] + [each.file_key for each in SETTINGS if each.spec.secret]
        for key in table:
            if key not in known:
                near = get_close_matches(key.lower(), known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.faults.append(f"{key[:64]!r} (file): no such setting{hint}")
        return table

    def value(self, setting: Setting) -> Any:
        """The setting's value, its default where it is wrong."""
        self.sources[setting.env] = "default"
        try:
            raw = self._raw(setting)
            if raw is None:
                return setting.default
            self.sources[setting.env] = raw.source
            value = _value_of_text(setting, raw.text)
        except _WrongValue as error:
            source = self.sources[setting.env]
            where = "" if source == "default" else f" ({source})"
            self.faults.append(f"{setting.env}{where}: {error}")
            self.faulty.add(setting.env)
            return setting.default
        if value is None:
            self.sources[setting.env] = "default"
            return setting.default
        return value

    def _raw(self, setting: Setting) -> _Raw | None:
        inputs = self._inputs
        places: tuple[tuple[str, Mapping[str, object], str, str], ...] = (
            ("flag", inputs.flags, setting.env, setting.file_env),
            ("environment", inputs.environ, setting.env, setting.file_env),
            ("file", self._file, setting.key, setting.file_key),
        )
        for source, values, name, file_name in places:
            given = values.get(name)
            path = values.get(file_name) if setting.spec.secret else None
            if given not in (None, "") and path not in (None, ""):
                raise _WrongValue(f"set {name} or {file_name}, not both")
            if path not in (None, ""):
                self.sources[setting.env] = f"{source}, {file_name}"
                self.secret_files[setting.env] = str(path)
                return _Raw(self._secret_text(str(path), file_name), self.sources[setting.env])
            if given is None or (given == "" and setting.optional):
                continue
            self.sources[setting.env] = source
            return _Raw(_text_of_toml(setting, given), source)
        return None

    def _secret_text(self, path: str, file_name: str) -> str:
        try:
            secret = self._inputs.read_secret(path)
        except OSError as error:
            raise _WrongValue(f"the file cannot be read: {error.strerror or 'no such file'}") from None
        except UnicodeDecodeError:
            raise _WrongValue("the file holds no UTF-8 text") from None
        if secret.open_to_others:
            self.warnings.append(f"{file_name}: every user of this machine may read the file; chmod 600 it")
        text = without_line_break(secret.text)
        if not text:
            raise _WrongValue("the file is empty")
        return text


def _near_misses(environ: Mapping[str, str]) -> Iterator[str]:
    known = [each.env for each in SETTINGS if len(each.env) >= _NEAR_MISS_CHARS_MIN]
    ours = set(SETTINGS_BY_ENV) | {each.file_env for each in SETTINGS if each.spec.secret}
    for name in sorted(environ):
        if name in ours or len(name) < _NEAR_MISS_CHARS_MIN:
            continue
        near = get_close_matches(name.upper(), known, n=1, cutoff=_NEAR_MISS_RATIO)
        if near:
            yield f"{name[:64]} is no setting of the bridge; did you mean {near[0]}?"


def parse(inputs: Inputs, *, rules: Iterable[Rule] = ()) -> Effective:
    """Read the configuration: flags over environment over file over defaults.

    Args:
        rules: further rules, of rooms that `config` does not know, so that their faults are told with the others.

    Raises:
        ConfigError: with every fault at once; no fault shows a secret.
    """
    reader = _Reader(inputs)
    values: dict[str, dict[str, Any]] = {}
    for setting in SETTINGS:
        section = values.setdefault(setting.section, {})
        section[setting.field] = reader.value(setting)
        if setting.spec.file_field is not None:
            section[setting.spec.file_field] = reader.secret_files.get(setting.env)
    config = Config(**{name: section(**values[name]) for name, section in get_type_hints(Config).items()})
    faults = [fault for rule in (*RULES, *rules) for fault in rule(config)]
    reader.faults += [_told(fault, reader) for fault in faults if reader.faulty.isdisjoint(fault.envs)]
    if reader.faults:
        raise ConfigError(tuple(reader.faults))
    warnings = (*reader.warnings, *advice(config), *_near_misses(inputs.environ))
    return Effective(config=config, sources=reader.sources, warnings=warnings)


def _told(fault: ConfigFault, reader: _Reader) -> str:
    sources = {reader.sources[env] for env in fault.envs} - {"default"}
    where = f" ({', '.join(sorted(sources))})" if sources else ""
    return f"{' / '.join(fault.envs)}{where}: {fault.text}"
