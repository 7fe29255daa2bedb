"""Which bodies are taken (pure)."""

__all__ = ("is_json", "is_plain_encoding")


def is_json(content_type: str) -> bool:
    """Whether this `Content-Type` is `application/json`, with no charset or with utf-8 (RFC 8259, section 8.1)."""
    if content_type == "application/json":
        return True
    media_type, _, rest = content_type.partition(";")
    if media_type.strip().lower() != "application/json":
        return False
    for parameter in rest.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() != "utf-8":
            return False
    return True


def is_plain_encoding(content_encoding: str | None) -> bool:
    """Whether the body is sent as it is; no `Content-Encoding` is undone here."""
    return content_encoding is None or content_encoding.strip().lower() == "identity"
