"""The configuration: typed sections, and how they are read (pure)."""

from bridge.config.sections import Config, HttpConfig, IggyConfig, LocalLogConfig, LogConfig, ObserveConfig

__all__ = ("Config", "HttpConfig", "IggyConfig", "LocalLogConfig", "LogConfig", "ObserveConfig")
