"""How one setting is declared (leaf, pure)."""

from dataclasses import field
from typing import Any, NamedTuple


class SettingSpec(NamedTuple):
    """How one setting is written and bounded.

    Attributes:
        env: name in the environment; the flag is its lower-case form with dashes, the TOML key with underscores.
        help: one sentence for `--help` and docs/configuration.md.
        minimum: smallest number allowed, inclusive; None where there is none.
        maximum: largest number allowed, inclusive.
        secret: also read from the file named by `<env>_FILE`; never shown.
        choices: the words allowed.
        word: a word that stands for a number out of the range, and that number.
        file_field: of a secret, the field of its section that tells which file it was read from, if any.
    """

    env: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False
    choices: tuple[str, ...] = ()
    word: tuple[str, int] | None = None
    file_field: str | None = None


def setting(
    env: str,
    default: Any,
    text: str,
    *,
    within: tuple[float, float] | tuple[None, None] = (None, None),
    secret: bool = False,
    choices: tuple[str, ...] = (),
    word: tuple[str, int] | None = None,
    file_field: str | None = None,
) -> Any:
    spec = SettingSpec(env, text, within[0], within[1], secret, choices, word, file_field)
    return field(default=default, repr=not secret, metadata={"setting": spec})
