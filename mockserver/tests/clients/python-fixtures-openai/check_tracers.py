"""OpenTelemetry's tracers beside the fixtures: in either order, what is answered has its spans."""

import asyncio

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import openpipe_mock

URL = "https://api.openpipe.ai/api/v1/criteria/judge"
ASKED = {
    "json": {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}},
    "headers": {"authorization": "Bearer op-local"},
}


def by_httpx():
    return httpx.post(URL, **ASKED).status_code


def by_httpx2():
    return httpx2.post(URL, **ASKED).status_code


def by_requests():
    return requests.post(URL, **ASKED).status_code


def by_urllib3():
    return urllib3.request("POST", URL, **ASKED).status


def by_httpx_async():
    async def ask():
        async with httpx.AsyncClient() as client:
            return (await client.post(URL, **ASKED)).status_code

    return asyncio.run(ask())


def by_aiohttp():
    async def ask():
        async with aiohttp.ClientSession() as session, session.post(URL, **ASKED) as answer:
            return answer.status

    return asyncio.run(ask())


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans):
    found = TracerProvider()
    found.add_span_processor(SimpleSpanProcessor(spans))
    return found


@pytest.mark.parametrize("tracer_first", [True, False])
@pytest.mark.parametrize(
    ("tracer", "ask"),
    [
        (HTTPXClientInstrumentor, by_httpx),
        (HTTPXClientInstrumentor, by_httpx_async),
        (HTTPX2ClientInstrumentor, by_httpx2),
        (RequestsInstrumentor, by_requests),
        (URLLib3Instrumentor, by_requests),
        (URLLib3Instrumentor, by_urllib3),
        (AioHttpClientInstrumentor, by_aiohttp),
    ],
)
def test_an_answered_request_has_its_span(spans, provider, tracer, ask, tracer_first):
    if tracer_first:
        tracer().instrument(tracer_provider=provider)
    try:
        with openpipe_mock.patched() as mock:
            if not tracer_first:
                tracer().instrument(tracer_provider=provider)
            assert ask() == 200
    finally:
        tracer().uninstrument()
    assert len(spans.get_finished_spans()) == 1
    with openpipe_mock.patched() as another:
        assert ask() == 200
    assert len(spans.get_finished_spans()) == 1
    mock.judged(times=1)
    another.judged(times=1)


def test_a_client_that_was_traced_before(spans, provider, openpipe_mock):
    with httpx.Client() as client:
        HTTPXClientInstrumentor.instrument_client(client, tracer_provider=provider)
        assert client.post(URL, **ASKED).status_code == 200
    assert len(spans.get_finished_spans()) == 1
    openpipe_mock.judged(times=1)
