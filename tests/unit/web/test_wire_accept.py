import pytest

from bridge.policy.body_kinds import Coding
from bridge.web.wire.accept import (
    preferred_coding,
    takes_events,
    takes_gzip,
    wants_events,
    wants_ndjson,
    wants_openmetrics,
)


@pytest.mark.parametrize(
    "accept, wanted",
    [
        (["application/x-ndjson"], True),
        (["Application/X-NDJSON ; charset=utf-8"], True),
        (["application/json;q=0.9, application/x-ndjson"], True),
        (["application/json, application/x-ndjson"], True),
        (["text/html", "application/x-ndjson;q=0.1"], True),
        (["application/json, application/x-ndjson;q=0.9"], False),
        (["application/x-ndjson;q=0"], False),
        (["application/x-ndjson;q=0.000"], False),
        (["application/x-ndjson;q=much"], False),
        (["application/x-ndjson;q=nan"], False),
        (["application/x-ndjson;q=1.5"], False),
        (["*/*"], False),
        (["application/*"], False),
        (["application/json"], False),
        ([""], False),
        ([";;,,;q="], False),
        ([], False),
    ],
)
def test_lines_are_given_to_those_who_name_them(accept: list[str], wanted: bool) -> None:
    assert wants_ndjson(accept) is wanted


@pytest.mark.parametrize(
    "accept_encoding, coding",
    [
        (["gzip"], Coding.GZIP),
        (["br, GZIP;q=0.5"], Coding.GZIP),
        (["x-gzip"], Coding.GZIP),
        (["deflate", "gzip"], Coding.GZIP),
        (["gzip, zstd;q=0.9"], Coding.GZIP),
        (["gzip, deflate, br, zstd"], Coding.ZSTD),
        (["zstd;q=0.1"], Coding.ZSTD),
        (["gzip;q=0, zstd;q=0"], Coding.IDENTITY),
        (["*"], Coding.IDENTITY),
        (["identity"], Coding.IDENTITY),
        ([], Coding.IDENTITY),
    ],
)
def test_a_body_is_compressed_as_is_preferred(accept_encoding: list[str], coding: Coding) -> None:
    assert preferred_coding(accept_encoding) is coding


@pytest.mark.parametrize(
    "accept, wanted",
    [
        (["text/event-stream"], True),
        (["Text/Event-Stream;q=0.5, text/html"], True),
        (["application/json, text/event-stream"], True),
        (["application/json", "text/event-stream;q=0.9"], False),
        (["application/x-ndjson, text/event-stream;q=0.9"], False),
        (["text/event-stream;q=0"], False),
        (["text/*"], False),
        (["*/*"], False),
        ([], False),
    ],
)
def test_events_are_given_to_those_who_name_them(accept: list[str], wanted: bool) -> None:
    assert wants_events(accept) is wanted


@pytest.mark.parametrize(
    "accept, taken",
    [
        ([], True),
        ([""], True),
        (["*/*"], True),
        (["text/*;q=0.1"], True),
        (["text/event-stream"], True),
        (["text/html, */*;q=0.8"], True),
        (["application/json"], False),
        (["application/json", "text/html"], False),
        (["*/*, text/event-stream;q=0"], False),
        (["*/*, text/*;q=0"], False),
    ],
)
def test_where_there_are_only_events_the_nearest_range_says_whether_they_are_taken(
    accept: list[str], taken: bool
) -> None:
    assert takes_events(accept) is taken


# What they send: Prometheus 2.42 and 3.5, and 2.20, which knows a draft alone.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_DRAFT = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.mark.parametrize(
    "accept, wanted",
    [
        ([PROMETHEUS_2], True),
        ([PROMETHEUS_3], True),
        ([PROMETHEUS_DRAFT], False),
        (["application/openmetrics-text"], True),
        (['APPLICATION/OpenMetrics-Text ; Version="1.0.0"'], True),
        (["text/plain;q=0.5", "application/openmetrics-text;q=0.6"], True),
        (["text/plain, application/openmetrics-text"], True),
        (["application/openmetrics-text;version=2.0.0"], False),
        (["application/openmetrics-text;q=0"], False),
        (["application/openmetrics-text;q=0.5, text/plain;q=0.6"], False),
        (["*/*"], False),
        (["application/*"], False),
        (["text/plain"], False),
        ([], False),
    ],
)
def test_openmetrics_is_given_to_those_who_name_it(accept: list[str], wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


@pytest.mark.parametrize(
    "accept_encoding, taken",
    [
        (["gzip, deflate, br, zstd"], True),
        (["x-gzip"], True),
        (["br", "gzip;q=0.1"], True),
        (["identity, gzip"], True),
        (["identity;q=1, gzip;q=0.5"], False),
        (["gzip;q=0"], False),
        (["zstd"], False),
        (["*"], False),
        ([""], False),
        ([], False),
    ],
)
def test_gzip_is_given_to_those_who_name_it(accept_encoding: list[str], taken: bool) -> None:
    assert takes_gzip(accept_encoding) is taken
