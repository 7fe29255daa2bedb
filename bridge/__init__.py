"""An HTTP front door to a message log: Apache Iggy, or an embedded durable log."""

from importlib.metadata import version

__all__ = ("__version__",)

__version__ = version("bridge")
