import pytest

from bridge.policy.rate_limits import acknowledgement_key, is_acknowledgement

GROUP = "/streams/s/topics/t/groups/g"


@pytest.mark.parametrize("verb", ["ack", "nack", "extend"])
@pytest.mark.parametrize("query", ["", "?api_key=k"])
def test_what_settles_messages_is_known_by_its_target(verb: str, query: str) -> None:
    assert is_acknowledgement("POST", f"{GROUP}/{verb}{query}")


@pytest.mark.parametrize(
    "method, target",
    [
        ("GET", f"{GROUP}/ack"),
        ("POST", f"{GROUP}/receive"),
        ("POST", f"{GROUP}/ack/"),
        ("POST", f"{GROUP}/acks"),
        ("POST", f"{GROUP}/receive?x=/groups/g/ack"),
        ("POST", "/messages?x=/streams/s/topics/t/groups/g/ack"),
        ("POST", "/x/streams/s/topics/t/groups/g/ack"),
        ("POST", "/streams/s/topics/t/x/groups/g/ack"),
        ("POST", "/ack"),
    ],
)
def test_nothing_else_does(method: str, target: str) -> None:
    assert not is_acknowledgement(method, target)


def test_what_an_address_acknowledges_is_counted_apart_from_its_other_requests() -> None:
    assert acknowledgement_key("10.0.0.1") != "10.0.0.1"
    assert acknowledgement_key("10.0.0.1") != acknowledgement_key("10.0.0.2")
