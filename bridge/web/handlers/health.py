"""Probes and figures (shell): answered from what is known, so that they never wait for the log unless they are asked to."""

from aiohttp import hdrs, web

from bridge.errors import NotFound
from bridge.web.keys import EXCHANGE
from bridge.web.server.answer_headers import vary_by
from bridge.web.server.json_answer import JsonAnswer
from bridge.web.wire.accept import wants_openmetrics
from bridge.web.wire.answers import health_json, ready_json, stats_json
from bridge.web.wire.queries import is_deep

# A probe asks again after seconds; the log may be back in one.
_RETRY_AFTER_S = "1"


async def health(request: web.Request) -> web.StreamResponse:
    """`GET /health`: 200 as long as the process serves."""
    services = request[EXCHANGE].services
    return JsonAnswer(health_json(services.probe.health(), services.clock.now_us()))


async def ready(request: web.Request) -> web.StreamResponse:
    """`GET /ready`: 200 if requests should be sent here, else 503; each check in the body.

    With `deep=1` a message is stored and read back as well, at most once a second whoever asks.
    """
    services = request[EXCHANGE].services
    deep = is_deep(request.query.items())
    is_ready, body = ready_json(
        services.probe.health(),
        started=services.lifecycle.started,
        topic_there=services.kept_topic.is_there,
        draining=services.lifecycle.draining,
        now_us=services.clock.now_us(),
        round_trip=await services.canary.look() if deep else None,
    )
    if is_ready:
        return JsonAnswer(body)
    response = JsonAnswer(body, status=503)
    response.add_field(hdrs.RETRY_AFTER, _RETRY_AFTER_S)
    return response


async def stats(request: web.Request) -> web.StreamResponse:
    """`GET /stats`: from the cache, zeros and stale before it is filled."""
    services = request[EXCHANGE].services
    sent, received = services.metrics.message_totals()
    return JsonAnswer(
        stats_json(
            services.stats.snapshot(),
            uptime_s=services.clock.monotonic_s() - services.started_s,
            sent=sent,
            received=received,
        )
    )


async def metrics(request: web.Request) -> web.StreamResponse:
    """`GET /metrics`: Prometheus' text, or OpenMetrics for whoever asks for that.

    Raises:
        NotFound: if it is served on its own port, or not at all.
    """
    services = request[EXCHANGE].services
    if not services.metrics_here:
        raise NotFound
    vary_by(request, hdrs.ACCEPT)
    as_openmetrics = wants_openmetrics(request.headers.getall(hdrs.ACCEPT, ()))
    body, content_type = services.metrics.render(as_openmetrics=as_openmetrics)
    return web.Response(body=body, headers={"Content-Type": content_type})
