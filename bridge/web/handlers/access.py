"""What each route asks of its caller (shell over `policy.access`): a column of the table of routes, and the checks it stands for."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from bridge.errors import InsufficientScope, NotFound, StreamNotFound, TopicNotFound, Unauthorized
from bridge.messagelog import TopicRef
from bridge.policy.access import Principal, Scope
from bridge.web.handlers.path_params import named_stream, named_topic, refuse_query
from bridge.web.keys import EXCHANGE, Exchange
from bridge.web.middleware.gates import LastCheck
from bridge.web.openapi.operation import ApiOperation
from bridge.web.server.answer_headers import vary_by


class Resource(StrEnum):
    """What the scope of a route must hold for."""

    #: Nothing: whoever is let in.
    NOTHING = "nothing"
    #: The bridge as a whole.
    BRIDGE = "bridge"
    #: Nothing; what the caller may not see is left out.
    LISTED = "listed"
    #: The stream of the path: something in it, where any scope will do; with a scope all of it, topics to come too.
    STREAM = "stream"
    #: The stream that the body names, all of it.
    NEW_STREAM = "new stream"
    #: The topic that the body names, in the stream of the path.
    NEW_TOPIC = "new topic"
    #: The topic of the path, or the default one.
    TOPIC = "topic"
    #: Whatever each operation of a socket names.
    SOCKET = "socket"


class Access(NamedTuple):
    """What a route asks of its caller.

    Attributes:
        scope: None where any will do.
        negotiated: whether answers depend on `Accept`, so that a refusal has to say so too.
    """

    scope: Scope | None
    target: Resource
    negotiated: bool = False

    @property
    def needs(self) -> str:
        """The same as a sentence for documents; empty where nothing is needed."""
        return _NEEDS[self.target, self.scope is None].format(scope=self.scope)


#: By what a scope must hold for, and whether any will do.
_NEEDS: Final[Mapping[tuple[Resource, bool], str]] = {
    (Resource.NOTHING, True): "",
    (Resource.BRIDGE, False): "Needs the scope `{scope}`.",
    (Resource.LISTED, True): "Shows what the caller has any scope for.",
    (Resource.STREAM, True): "Needs any scope for a topic of the stream, and shows those topics alone.",
    (Resource.STREAM, False): "Needs the scope `{scope}` for the whole stream.",
    (Resource.NEW_STREAM, False): "Needs the scope `{scope}` for the whole of the new stream.",
    (Resource.NEW_TOPIC, False): "Needs the scope `{scope}` for the new topic.",
    (Resource.TOPIC, True): "Needs any scope for the topic.",
    (Resource.TOPIC, False): "Needs the scope `{scope}` for the topic.",
    (Resource.SOCKET, True): "Publishing needs the scope `produce` for the topic, all else `consume`.",
}

#: Of whoever is let in.
ANYONE: Final = Access(None, Resource.NOTHING)


class Route(NamedTuple):
    """One method of one path template, what the OpenAPI document says of it, and who may call it."""

    method: str
    path: str
    handler: Handler
    operation: ApiOperation
    access: Access


_Rule: TypeAlias = Callable[[Exchange, Principal, Scope | None], None]


def check_of(route: Route) -> LastCheck | None:
    """What lets a request pass that *route* takes and its caller may send, or raises; None where there is nothing to check.

    Raises (the check):
        BadRequest: if there is a query, and the route takes none.
        Those of its access: see `_access_check`.
    """
    is_allowed = _access_check(route.access)
    if route.operation.queries or route.operation.ignores_query:
        return is_allowed

    def check(request: web.Request, exchange: Exchange) -> None:
        if is_allowed is not None:
            is_allowed(request, exchange)
        refuse_query(request, exchange)

    return check


def _access_check(access: Access) -> LastCheck | None:
    """What lets a request pass whose caller may do this, or raises; None where there is nothing to check.

    Raises (the check):
        Unauthorized: if nobody has found out who calls.
        NotFound, StreamNotFound, TopicNotFound: if the caller may not see what the path names, whether it is there or not.
        InsufficientScope: if the caller sees it, and may not do this.
        BadRequest, Forbidden: as `named_stream` and `named_topic`.
    """
    if access.target is Resource.NOTHING:
        return None
    rule, scope = _RULES[access.target], access.scope

    def check(request: web.Request, exchange: Exchange) -> None:
        principal = exchange.principal
        if principal is None:
            raise Unauthorized
        if principal.unrestricted:
            return
        try:
            rule(exchange, principal, scope)
        except NotFound:
            if access.negotiated:
                # As of a topic that is not there.
                vary_by(request, hdrs.ACCEPT)
            raise

    return check


def principal_of(request: web.Request) -> Principal:
    """Who calls.

    Raises:
        Unauthorized: if nobody has found out.
    """
    return _known(request[EXCHANGE])


def _known(exchange: Exchange) -> Principal:
    if exchange.principal is None:
        raise Unauthorized
    return exchange.principal


def current_principal(exchange: Exchange) -> Principal:
    """Who calls, and what they may by now: sockets outlive a reading of the file of keys.

    Raises:
        Unauthorized: if nobody has found out who calls, or their key is not in force any more.
    """
    principal, services = _known(exchange), exchange.services
    if services.key_ring is None or principal.key_id is None:
        return principal
    key = services.key_ring.key(principal.key_id)
    if key is None or not key.is_in_force(services.clock.wall_s()):
        raise Unauthorized
    return key.principal


def require_topic(principal: Principal, scope: Scope | None, topic: TopicRef) -> None:
    """Let pass who may do this to *topic*.

    Raises:
        StreamNotFound, TopicNotFound: if the caller may not see it.
        InsufficientScope: if the caller sees it, and has not *scope* for it.
    """
    # Not as `*topic`: to unpack a named tuple takes 1,900 instructions.
    if scope is not None and principal.may(scope, topic.stream, topic.topic):
        return
    if not principal.sees(*topic):
        raise (TopicNotFound if principal.sees_stream(topic.stream) else StreamNotFound).to_the_caller()
    if scope is not None:
        raise InsufficientScope(scope=scope)


def require_new_topic(principal: Principal, topic: TopicRef) -> None:
    """Let pass who may make *topic*; nothing is told of whether it is there.

    Raises:
        InsufficientScope: if the caller may not.
    """
    if not principal.may(Scope.ADMIN, *topic):
        raise InsufficientScope(scope=Scope.ADMIN)


def require_new_stream(principal: Principal, stream: str) -> None:
    """As `require_new_topic`; whoever makes a stream must be allowed all of its topics, those to come too."""
    if not principal.may_whole(Scope.ADMIN, stream):
        raise InsufficientScope(scope=Scope.ADMIN)


def _has_scope(_: Exchange, principal: Principal, scope: Scope | None) -> None:
    if scope is not None and not principal.has(scope):
        raise InsufficientScope(scope=scope)


def _may_stream(exchange: Exchange, principal: Principal, scope: Scope | None) -> None:
    stream = named_stream(exchange)
    if not principal.sees_stream(stream):
        raise StreamNotFound.to_the_caller()
    if scope is not None and not principal.may_whole(scope, stream):
        raise InsufficientScope(scope=scope)


def _may_topic(exchange: Exchange, principal: Principal, scope: Scope | None) -> None:
    require_topic(principal, scope, named_topic(exchange))


def _may_new_topic(exchange: Exchange, principal: Principal, scope: Scope | None) -> None:
    # The rest is in the body, and up to the handler (`require_new_topic`).
    _may_stream(exchange, principal, None)
    _has_scope(exchange, principal, scope)


_RULES: Final[Mapping[Resource, _Rule]] = {
    Resource.BRIDGE: _has_scope,
    Resource.LISTED: _has_scope,
    Resource.STREAM: _may_stream,
    # The rest is in the body, and up to the handler (`require_new_stream`).
    Resource.NEW_STREAM: _has_scope,
    Resource.NEW_TOPIC: _may_new_topic,
    Resource.TOPIC: _may_topic,
    Resource.SOCKET: _has_scope,
}
