"""The client of OpenAI-compatible servers, against a real one."""

import sys
import time
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import pytest

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.models.endpoint import ATTEMPTS, Endpoint

sys.path.insert(0, str(Path(__file__).parents[1]))

from serving import running, written

KEY = "sk-a-very-secret-key"
HELLO = [{"role": "user", "content": "say hello"}]


@pytest.fixture(scope="module")
def process():
    with running() as found:
        yield found


@pytest.fixture
def server(process, monkeypatch):
    process.forget()
    for name in ("FEWTUNE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return process


@pytest.fixture
def endpoint(server):
    return replace(Endpoint.parse(f"{server.url}#tiny-writer"), pause=0.01)


def refused(endpoint):
    with pytest.raises(FewtuneError) as told:
        endpoint.complete(HELLO)
    assert "\n" not in str(told.value)
    assert endpoint.url in str(told.value)
    return str(told.value)


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelled", "url", "model"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1", ""),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1", ""),
        ("https://example.org/v1/#a/b", "https://example.org/v1", "a/b"),
        ("http://[::1]:80/openai/v1#m", "http://[::1]:80/openai/v1", "m"),
        ("http://h/v1/chat/completions#m", "http://h/v1", "m"),
    ],
)
def test_an_address_is_read(spelled, url, model):
    found = Endpoint.parse(spelled)
    assert (found.url, found.named) == (url, model)


@pytest.mark.parametrize(
    "spelled", ["", "localhost:8000", "ftp://h/v1", "http://", "http://h:port", "http://a b/v1"]
)
def test_what_is_no_address_is_refused(spelled):
    with pytest.raises(UsageError, match="the address of a server is expected"):
        Endpoint.parse(spelled)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(UsageError, match="FEWTUNE_API_KEY") as told:
        Endpoint.parse(f"http://me:{KEY}@example.org/v1")
    assert KEY not in str(told.value)


def test_without_a_name_the_first_model_of_the_server_is_asked(server):
    found = Endpoint.parse(server.url)
    assert server.asked == []
    assert found.model == "tiny-writer"
    found.complete(HELLO)
    assert [one["path"] for one in server.asked] == ["/v1/models", "/v1/chat/completions"]
    assert server.asked[1]["body"]["model"] == "tiny-writer"


def test_a_server_without_models_is_told(server):
    server.then({"body": {"data": []}})
    with pytest.raises(FewtuneError, match="lists no model; name one"):
        _ = Endpoint.parse(server.url).model


# --- calls ---------------------------------------------------------------------------------------


def test_settings_reach_the_server_and_its_answer_comes_back(server, endpoint):
    answer = endpoint.complete(
        HELLO, temperature=0.8, top_p=0.9, max_tokens=7, seed=3, stop=("\n\n",)
    )
    assert answer.text == written("say hello", 3)
    assert (answer.finish_reason, answer.usage["total_tokens"]) == ("stop", len(answer.text))
    (one,) = server.asked
    assert one["key"] is None
    assert one["body"] == {
        "model": "tiny-writer", "messages": HELLO, "temperature": 0.8, "top_p": 0.9,
        "max_tokens": 7, "seed": 3, "stop": ["\n\n"],
    }  # fmt: skip


def test_the_key_is_sent_and_fewtune_s_own_comes_first(server, endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    endpoint.complete(HELLO)
    monkeypatch.setenv("FEWTUNE_API_KEY", f" {KEY}\n")
    endpoint.complete(HELLO)
    assert [one["key"] for one in server.asked] == ["Bearer theirs", f"Bearer {KEY}"]


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(endpoint, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert endpoint.complete(HELLO).text


def test_no_text_is_an_empty_one(server, endpoint):
    server.then({"body": {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}})
    assert endpoint.complete(HELLO).text == ""


# --- failures ------------------------------------------------------------------------------------


def test_a_server_that_fails_twice_is_asked_a_third_time(server, endpoint):
    server.then({"status": 500}, {"status": 503})
    assert endpoint.complete(HELLO).text
    assert len(server.asked) == 3


@pytest.mark.parametrize("asked", ["1", "date"])
def test_a_busy_server_is_given_the_time_it_asks_for(server, endpoint, asked):
    until = formatdate(time.time() + 2, usegmt=True) if asked == "date" else asked
    server.then({"status": 429, "headers": {"Retry-After": until}})
    assert endpoint.complete(HELLO).text
    first, second = (one["at"] for one in server.asked)
    assert 0.9 <= second - first < 4


def test_who_asks_for_an_hour_is_told_at_once(server, endpoint):
    server.then({"status": 429, "headers": {"Retry-After": "3600"}})
    assert "start again in 3,600 seconds" in refused(endpoint)
    assert len(server.asked) == 1


def test_pauses_grow(server, endpoint):
    server.then({"status": 500}, always=True)
    assert "500 Internal Server Error); look at its log." in refused(replace(endpoint, pause=0.1))
    at = [one["at"] for one in server.asked]
    assert len(at) == ATTEMPTS
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert all(pause >= 0.05 * 2**k for k, pause in enumerate(pauses)), pauses


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": f"wrong key {KEY}"}}, r"401 Unauthorized: wrong key \*\*\*"),
        (401, "", r"\(401 Unauthorized\); set FEWTUNE_API_KEY to a key that it accepts"),
        (404, {"error": {"message": "no model x"}}, "no model x.; check the address and the model"),
        (400, {"detail": "too long"}, "400 Bad Request: too long"),
        (400, "<html>\n" + "x" * 900, "400 Bad Request: <html> x{193}…"),
        (302, "", r"give the address that it sends to \(http://elsewhere/\)"),
    ],
)
def test_other_refusals_are_told_at_once_without_the_key(
    server, endpoint, monkeypatch, status, body, said
):
    monkeypatch.setenv("FEWTUNE_API_KEY", KEY)
    server.then({"status": status, "body": body, "headers": {"Location": "http://elsewhere/"}})
    with pytest.raises(FewtuneError, match=said) as told:
        endpoint.complete(HELLO)
    assert KEY not in str(told.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [("<html>hello", "not JSON"), ({"hello": 1}, "no chat completion"), ([], "no chat completion")],
)
def test_an_answer_that_cannot_be_read_is_told(server, endpoint, body, said):
    server.then({"body": body})
    assert said in refused(endpoint)
    assert len(server.asked) == 1


def test_a_silent_server_is_told(server, endpoint):
    server.then({"sleep": 0.4}, always=True)
    assert "nothing came for 0.1 seconds; 5 attempts" in refused(replace(endpoint, timeout=0.1))
    assert len(server.asked) == ATTEMPTS


def test_a_server_that_is_not_there_is_told():
    gone = Endpoint("http://127.0.0.1:9/v1", "m", pause=0.001)
    assert "does not answer (Connection refused; 5 attempts)" in refused(gone)


def test_a_key_that_no_header_takes_is_refused_without_showing_it(endpoint, monkeypatch):
    monkeypatch.setenv("FEWTUNE_API_KEY", f"{KEY}\r\nX: y")
    with pytest.raises(UsageError, match="FEWTUNE_API_KEY: a key has") as told:
        endpoint.complete(HELLO)
    assert KEY not in str(told.value)
