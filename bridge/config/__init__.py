"""The configuration: typed sections, and how they are read (pure)."""

from bridge.config.parse import Effective, Inputs, SecretFile, parse
from bridge.config.rules import ConfigFault, Rule
from bridge.config.sections import (
    WORKERS_AUTO,
    Config,
    EncryptionConfig,
    GroupsConfig,
    HttpConfig,
    IggyConfig,
    LocalLogConfig,
    LogConfig,
    ObserveConfig,
    TlsConfig,
    TokensConfig,
)
from bridge.config.settings import SETTINGS, SETTINGS_BY_ENV, Setting

__all__ = (
    "SETTINGS",
    "SETTINGS_BY_ENV",
    "WORKERS_AUTO",
    "Config",
    "ConfigFault",
    "Effective",
    "EncryptionConfig",
    "GroupsConfig",
    "HttpConfig",
    "IggyConfig",
    "Inputs",
    "LocalLogConfig",
    "LogConfig",
    "ObserveConfig",
    "Rule",
    "SecretFile",
    "Setting",
    "TlsConfig",
    "TokensConfig",
    "parse",
)
