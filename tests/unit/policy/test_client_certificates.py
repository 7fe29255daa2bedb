"""Claims of `policy.client_certificates`: names have their kind, and what leads astray is no name."""

from bridge.limits import CLIENT_CERTIFICATE_NAME_CHARS_MAX, CLIENT_CERTIFICATE_NAMES_MAX
from bridge.policy.client_certificates import ClientCertificate, client_certificate


def test_a_certificate_goes_by_its_uri_then_a_dns_name_then_its_common_name() -> None:
    verified = {
        "subject": ((("organizationName", "Example"),), (("commonName", "billing"),)),
        "subjectAltName": (
            ("DNS", "billing.internal"),
            ("URI", "spiffe://cluster/billing"),
            ("IP Address", "::1"),
        ),
    }
    found = client_certificate(verified)
    assert found == ClientCertificate(("uri:spiffe://cluster/billing", "dns:billing.internal", "cn:billing"))
    assert found.subject == "uri:spiffe://cluster/billing"


def test_a_common_name_that_looks_like_another_kind_stays_a_common_name() -> None:
    found = client_certificate({"subject": ((("commonName", "uri:spiffe://cluster/admin"),),)})
    assert found == ClientCertificate(("cn:uri:spiffe://cluster/admin",))


def test_names_that_do_not_print_are_empty_or_too_long_are_none() -> None:
    names = (("DNS", ""), ("DNS", "a\nb"), ("DNS", "x" * 2049), ("URI", "spiffe://\u202ea"))
    assert client_certificate({"subject": (), "subjectAltName": names}) is None
    assert client_certificate({"subject": ((("commonName", "a\nb"),), (("commonName", ""),))}) is None
    longest = "x" * CLIENT_CERTIFICATE_NAME_CHARS_MAX
    assert client_certificate({"subjectAltName": (("DNS", longest),)}) == ClientCertificate(
        (f"dns:{longest}",)
    )
    assert client_certificate({}) is None


def test_of_many_names_some_are_kept_each_once() -> None:
    names = tuple(("DNS", f"{number // 2}.internal") for number in range(100))
    found = client_certificate({"subjectAltName": names})
    assert found is not None
    assert len(found.names) == len(set(found.names)) == CLIENT_CERTIFICATE_NAMES_MAX
