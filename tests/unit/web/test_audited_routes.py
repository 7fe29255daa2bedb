"""Which requests change something, held against the table of routes."""

import pytest

from bridge.policy.access import Scope
from bridge.web.handlers.access import Route
from bridge.web.handlers.routes import ROUTES
from bridge.web.keys import UNMATCHED
from bridge.web.middleware.audit import is_change


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_what_an_operator_made_is_not_changed_without_a_record(route: Route) -> None:
    expected = route.access.scope is Scope.ADMIN or route.method in {"PUT", "DELETE"}
    assert is_change(route.method, route.path) == expected
    assert not is_change("GET", route.path)


def test_what_no_route_was_found_for_changes_nothing() -> None:
    assert not is_change("DELETE", UNMATCHED)
