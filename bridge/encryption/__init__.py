"""Encryption of what is stored (shell); loaded only where `ENCRYPTION_KEYS` is set."""

from bridge.encryption.keys import DataKeys, MasterKeys, parse_keys
from bridge.encryption.log import DecryptingReader, EncryptingAppender
from bridge.encryption.payloads import Payloads

__all__ = ("DataKeys", "DecryptingReader", "EncryptingAppender", "MasterKeys", "Payloads", "parse_keys")
