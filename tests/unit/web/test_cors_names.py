"""What pages of other origins may do is what the routes can do."""

from bridge.policy.origins import Origins
from bridge.web.handlers.routes import ROUTES


def test_a_preflight_allows_every_method_that_a_route_has() -> None:
    headers = Origins(("*",)).preflight_headers("https://a")
    assert headers is not None
    allowed = set(headers["Access-Control-Allow-Methods"].split(", "))
    assert {route.method for route in ROUTES} <= allowed
    assert allowed <= {route.method for route in ROUTES} | {"HEAD"}
