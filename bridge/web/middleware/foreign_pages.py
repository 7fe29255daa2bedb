"""What web pages may ask for that nobody let in (shell over `policy.origins`, `.origins` and `.same_origin`)."""

from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDictProxy, istr

from bridge.config.rules import is_loopback
from bridge.errors import Forbidden, MisdirectedRequest
from bridge.policy.api_keys import bearer_tokens
from bridge.policy.origins import AllowedHosts, Forwarding
from bridge.web.keys import Exchange, Services
from bridge.web.middleware.gates import Gate
from bridge.web.middleware.rate_limit import PROBES
from bridge.web.rules import Rules
from bridge.web.server.requests import connection_of

_FETCH_SITE: Final = istr("Sec-Fetch-Site")
_API_KEY: Final = istr("X-API-Key")
_NOTHING: Final = Forwarding()


def foreign_pages(_: Services, rules: Rules) -> Gate:
    """Refuse what a page sends that nobody let in, before it changes or tells anything; probes pass.

    Two ways lead a browser here. A name of the page's own that suddenly means this machine (DNS rebinding): the browser
    takes the page for ours, and only `Host` tells (421). And what browsers send anywhere without asking, such as simple
    requests, navigations and WebSocket handshakes: that the page may not read the answer does not help a topic that is
    purged (403). For what needs a header of the page's own they ask first (`cors`), so a key in its header shows that
    they did, or that there is no browser. Requests without `Origin` and `Sec-Fetch-Site` come from programs.
    """
    return _gate(rules, rules.hosts, keyed=not rules.credentials.is_open)


def foreign_pages_of_figures(services: Services, rules: Rules) -> Gate:
    """The same for the port that has figures alone and asks for no key.

    There any name will do where others than this machine can reach it: Prometheus calls it by the name of a service, and
    the network keeps strangers away.
    """
    return _gate(
        rules, Rules.hosts_of(services.http) if is_loopback(services.http.host) else None, keyed=False
    )


def _has_key(headers: CIMultiDictProxy[str]) -> bool:
    """Whether a page that sends this must have asked first. Browsers send Basic and Digest of themselves, no bearer token."""
    return hdrs.UPGRADE not in headers and (
        _API_KEY in headers or bool(bearer_tokens(headers.getall(hdrs.AUTHORIZATION, ())))
    )


def _gate(rules: Rules, hosts: AllowedHosts | None, *, keyed: bool) -> Gate:
    origins, addresses = rules.origins, rules.addresses

    def forwarding(request: web.Request) -> Forwarding:
        """What the peer says, if it is believed."""
        if not addresses.proxied or not addresses.is_trusted(connection_of(request).address):
            return _NOTHING
        headers = request.headers
        return Forwarding(
            headers.getall("X-Forwarded-Host", ()),
            headers.getall("X-Forwarded-Proto", ()),
            headers.getall("X-Forwarded-Port", ()),
            headers.getall("Forwarded", ()),
        )

    def check_page(request: web.Request, exchange: Exchange) -> None:
        headers = exchange.headers
        named, fetch_site = headers.getall(hdrs.ORIGIN, ()), headers.get(_FETCH_SITE)
        by_a_page = bool(named) or fetch_site is not None
        if (hosts is None and not by_a_page) or (exchange.method, exchange.target) in PROBES:
            return
        host, said = headers.get(hdrs.HOST, ""), forwarding(request)
        if hosts is not None and not (
            hosts.allows(host) and (said is _NOTHING or all(map(hosts.allows, said.named_hosts())))
        ):
            raise MisdirectedRequest(
                "The bridge is not known by this name: list it in ALLOWED_HOSTS if callers use it, or set API_KEY.",
                path=hdrs.HOST,
            )
        if not by_a_page:
            return
        if keyed and _has_key(headers):
            return
        if not origins.may_call(named, fetch_site, said.site(host)):
            raise Forbidden(
                "Pages of this origin may not call, unless CORS_ALLOWED_ORIGINS names it.",
                path=hdrs.ORIGIN if named else _FETCH_SITE,
            )

    return Gate(check_page)
