"""Base URLs in every spelling, held against the URLs that clients make of them."""

from typing import Any

import httpx
import httpx2
import pytest

from openpipe_mock.testing.base_urls import Url, host_of, normal_host, parsed, path_below

SPELLINGS = [
    ["https://gateway.test/v1", "HTTPS://GateWay.TEST:443/v1/", "https://user:word@gateway.test./v1"],
    ["http://gateway.test", "http://gateway.test:80/", "http://gateway.test.:80"],
    ["https://xn--strae-oqa.test/v1", "https://straße.test/v1", "https://XN--STRAE-OQA.test:443/v1"],
    ["https://bücher.test", "https://xn--bcher-kva.test", "https://BÜCHER。test."],
    ["https://gateway.test/my%20v1", "https://gateway.test/my v1", "https://gateway.test/m%79%20v1/"],
    ["https://gateway.test/%C3%BC/v1", "https://gateway.test/%c3%bc/v1", "https://gateway.test/ü/v1"],
    ["https://gateway.test/a/v1", "https://gateway.test/b/../a/./v1", "https://gateway.test/b/%2e%2e/a/v1"],
    ["http://[::1]:8000/v1", "http://[0:0:0:0:0:0:0:1]:8000/v1", "http://[0::0:1]:8000/v1/"],
    ["http://[::ffff:7f00:1]/v1", "http://[::FFFF:127.0.0.1]:80/v1"],
    ["http://[fe80::1%25eth0]:8000/v1", "http://[FE80:0::1%25eth0]:8000/v1"],
    ["https://xn--zzzzzz99999.test/v1", "https://XN--ZZZZZZ99999.test:443/v1"],
]
PAIRS = [(asked, base) for each in SPELLINGS for asked in each for base in each]
APART = [
    ("https://gateway.test/v1", "https://gateway.test/v2"),
    ("https://gateway.test/v1", "https://gateway.test/v11"),
    ("https://gateway.test/v1", "http://gateway.test/v1"),
    ("https://gateway.test:444/v1", "https://gateway.test/v1"),
    ("https://gateway.test/a/../v1", "https://gateway.test/a"),
    ("http://[::1]/v1", "http://[::2]/v1"),
    ("https://bücher.test/v1", "https://bucher.test/v1"),
]


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(("asked", "base"), PAIRS)
def test_every_spelling_is_the_same_base_url(library: Any, asked: str, base: str) -> None:
    url = library.URL(f"{asked.rstrip('/')}/criteria/judge")
    assert path_below(url, base) == "/api/v1/criteria/judge"


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(("asked", "base"), APART)
def test_another_base_url_is_another(library: Any, asked: str, base: str) -> None:
    assert path_below(library.URL(f"{asked}/criteria/judge"), base) is None


UNPARSABLE = [
    "http://[bad/v1",
    "http://[1:2/v1",
    "http://[v1.x]/",
    "http://gateway.test:x/v1",
    "https://a\u2100b/v1",
]
UNPARSABLE += ["http://gateway.test:99999/v1", "gateway.test", "/v1", "https:///v1", "http://[::1"]


@pytest.mark.parametrize("base", UNPARSABLE)
def test_a_text_that_is_no_base_url_takes_nothing(base: str) -> None:
    assert path_below(httpx.URL("http://gateway.test/v1"), base) is None


@pytest.mark.parametrize("base", ["http://gateway.test:0/v1", " http://gateway.test:0/v1\n"])
def test_port_0_is_no_missing_port(base: str) -> None:
    assert parsed(base) == Url("http", "gateway.test", 0, "/v1")


def test_a_path_that_goes_up_to_the_root_is_below_it() -> None:
    assert path_below(httpx.URL("https://gateway.test/v1/%2e%2e"), "https://gateway.test") == "/api/v1/"


def test_an_address_that_is_none_is_taken_as_it_is() -> None:
    assert normal_host("V1:X") == "v1:x"


def test_a_host_that_is_no_international_name_is_taken_as_it_is() -> None:
    assert host_of(httpx.URL("https://XN--zzzzzz99999.test/")) == "xn--zzzzzz99999.test"


@pytest.mark.parametrize(
    "host", ["API.gateway.test.", "\uff41pi\uff0egateway.test", "api。gate\u00adway。test"]
)
def test_a_host_is_read_as_it_is_looked_up(host: str) -> None:
    assert normal_host(host) == "api.gateway.test"
