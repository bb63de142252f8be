"""Plain requests, as clients and endpoints see them."""

import json

from tests.scenarios.harness.client import get


def test_a_request_reaches_its_endpoint_and_the_answer_its_client(site):
    shop = site()
    answer = shop.ask("/a/b?c=d")
    assert answer.status == 200
    told = json.loads(answer.body)
    assert (told["method"], told["target"]) == ("GET", "/a/b?c=d")
    assert ["host", shop.host] in told["fields"]


def test_the_endpoint_is_told_where_the_request_came_from(site):
    shop = site()
    _, port = shop.daemon.address()
    fields = dict(json.loads(shop.ask().body)["fields"])
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-port"] == str(port)
    assert fields["x-forwarded-proto"] == "http"
    assert fields["x-forwarded-host"] == shop.host
    assert "for=127.0.0.1" in fields["forwarded"]


def test_a_host_that_nobody_claims_is_answered_with_503(edge):
    answer = get(edge.address(), host="nobody.test")
    assert answer.status == 503
