"""The settings as a table for people (pure): the README's and the one of `--help`."""

from typing import NamedTuple

from bridge.config.settings import SETTINGS, default_text, range_text

__all__ = ("SECTION_TITLES", "SettingRow", "describe")

SECTION_TITLES = {
    "http": "HTTP",
    "log": "Default topic",
    "iggy": "Apache Iggy",
    "local": "Embedded log",
    "groups": "Groups",
    "observe": "Logs and metrics",
}


class SettingRow(NamedTuple):
    """One setting in words.

    Attributes:
        default: as it would be written in the environment, empty where there is none.
        allowed: bounds or choices.
    """

    section: str
    env: str
    flag: str
    default: str
    allowed: str
    help: str


def describe() -> tuple[SettingRow, ...]:
    """Every setting, in the order in which they are shown."""
    return tuple(
        SettingRow(
            SECTION_TITLES[each.section],
            each.env,
            each.flag,
            default_text(each),
            range_text(each),
            each.spec.help,
        )
        for each in SETTINGS
    )
