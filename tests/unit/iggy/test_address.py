import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ConfigError
from bridge.iggy.address import IggyAddress, parse_connection_string


def test_a_plain_string_is_taken_apart() -> None:
    assert parse_connection_string("iggy://user:pass@host.example:1234") == IggyAddress(
        server_addresses=("host.example:1234",), username="user", password="pass"
    )


def test_everything_at_once() -> None:
    address = parse_connection_string(
        "iggy+tcp://us%40er:p%3A%2F%3Fss@[::1]?tls=true&tls_domain=iggy.test&tls_ca_file=/ca.pem"
        "&tls_validate_certificate=false&nodelay=false"
    )
    assert (address.username, address.password) == ("us@er", "p:/?ss")
    assert address.server_addresses == ("[::1]:8090",)
    assert (address.tls, address.tls_domain, address.tls_ca_file) == (True, "iggy.test", "/ca.pem")
    assert (address.tls_validate_certificate, address.nodelay) == (False, False)


def test_the_nodes_of_a_cluster_stand_behind_each_other() -> None:
    address = parse_connection_string("iggy://user:pass@a,b:8091,[::1]:8092,a:8090?tls=true")
    assert address.server_addresses == ("a:8090", "b:8091", "[::1]:8092")


def test_a_name_without_a_password_is_a_token() -> None:
    address = parse_connection_string("iggy://to%2Bken%3D@host")
    assert (address.token, address.username, address.password) == ("to+ken=", "", "")


def test_nothing_secret_is_shown() -> None:
    assert "hunter22" not in repr(parse_connection_string("iggy://user:hunter22@host"))
    assert "hunter22" not in repr(parse_connection_string("iggy://hunter22@host"))


@pytest.mark.parametrize(
    "text, fault",
    [
        ("iggy+quic://user:s3cret@host", "only TCP"),
        ("iggy+http://user:s3cret@host", "only TCP"),
        ("iggy+ws://user:s3cret@host", "only TCP"),
        ("amqp://user:s3cret@host", "must start with"),
        ("s3cret", "must start with"),
        ("iggy://user:s3cret@host:99999", "not of the form"),
        ("iggy://user:s3cret@host:0", "1..65535"),
        ("iggy://user:s3cret@[::1", "not of the form"),
        ("iggy://user:s3cret@", "host"),
        ("iggy://user:s3cret@ho st", "host"),
        ("iggy://user:s3cret@a,", "host"),
        ("iggy://user:s3cret@a:1,b:x", "not of the form"),
        ("iggy://user:s3cret@" + ",".join(["a"] * 33), "at most 32 nodes"),
        ("iggy://host:8090", "missing before"),
        ("iggy://user:s3cret@host/path", "nothing may stand"),
        ("iggy://u:s3cret@host", "user must be"),
        ("iggy://user:s3@host", "password must be"),
        ("iggy://user:%ff%ff%ff@host", "UTF-8"),
        ("iggy://user:s3cret@host?tls=yes", "true or false"),
        ("iggy://user:s3cret@host?tls=true&tls=true", "twice"),
        ("iggy://user:s3cret@host?tls_domain=", "empty"),
        ("iggy://user:s3cret@host?tls", "name=value"),
        ("iggy://user:s3cret@host?heartbeat_interval=1s", "belongs to the bridge"),
        ("iggy://user:s3cret@host?s3cret=1", "not known"),
    ],
)
def test_a_bad_string_is_told_without_its_secret(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        parse_connection_string(text)
    assert "s3cret" not in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_connection_string("iggy://u:p@host:0/path?tls=maybe")
    assert len(caught.value.faults) == 5


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    for candidate in (text, f"iggy://{text}", f"iggy://user:pass@{text}", f"iggy://user:pass@host?{text}"):
        with contextlib.suppress(ConfigError):
            parse_connection_string(candidate)
