"""A client for servers that speak OpenAI's chat completions: vLLM, llama.cpp, Ollama and others."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import cached_property
from http.client import HTTPException
from ipaddress import ip_address
from random import uniform
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from fewtune.base.errors import FewtuneError, UsageError

KEYS = ("FEWTUNE_API_KEY", "OPENAI_API_KEY")  # the first that is set is sent
ATTEMPTS = 5
LONGEST_PAUSE = 60.0  # seconds; who is told to wait longer is better told so
SHOWN = 200  # characters of a server's own message
OF_THE_QUESTION = (400, 413, 422)  # statuses that speak of what was asked: too long, for one
#: What to do about a status; a fault of the server's where it is not here.
REMEDIES = {
    401: f"set {KEYS[0]} to a key that it accepts",
    403: f"set {KEYS[0]} to a key that may use this model",
    404: "check the address and the model's name behind the #",
    429: "wait a while, then start again",
}


class Refused(FewtuneError):
    """A question that gets no answer however often it is asked: it is too long, for one."""


class TooLong(Refused):
    """A question that was not even put, for the model has no room for it."""


@dataclass(frozen=True)
class Answer:
    """What a model wrote.

    Attributes:
        text: as it came; empty where it wrote nothing.
        finish_reason: `stop` for a whole text, `length` for one cut at `max_tokens`.
        usage: tokens, by the server's names for them.
    """

    text: str
    finish_reason: str
    usage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """A server and one of its models.

    Attributes:
        url: with its path, `http://host:port/v1`.
        named: the model; empty for the first that the server lists.
        timeout: seconds without a sign of life before a call counts as failed.
        pause: seconds before the second attempt; doubled before every further one.
    """

    url: str
    named: str = ""
    timeout: float = 120.0
    pause: float = 0.5

    @classmethod
    def parse(cls, spelled: str) -> Endpoint:
        """An endpoint as users write it, `URL` or `URL#MODEL`; nothing is asked of it yet.

        Raises:
            UsageError: that is no address of a server.

        >>> Endpoint.parse("http://127.0.0.1:8000#qwen")
        Endpoint(url='http://127.0.0.1:8000/v1', named='qwen', timeout=120.0, pause=0.5)
        """
        address, _, model = spelled.strip().partition("#")
        parts = _split(address)
        if "@" in parts.netloc or parts.query:
            raise UsageError(
                f"endpoint: the address of {parts.hostname} holds a name, password or query; give "
                f"the plain address, and the key in the environment variable {KEYS[0]}."
            )
        path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
        return cls(f"{parts.scheme}://{parts.netloc}{path}", model.strip())

    @cached_property
    def model(self) -> str:
        """The model's name, asked of the server where the user gives none.

        Raises:
            FewtuneError: the server cannot be asked, or lists no model.
        """
        if self.named:
            return self.named
        listed = self._call("models")
        try:
            return str(listed["data"][0]["id"])
        except (LookupError, TypeError):
            raise FewtuneError(
                f"{self.url} lists no model; name one behind the address, {self.url}#MODEL."
            ) from None

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_tokens: int = 256,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Answer:
        """The model's next message.

        Args:
            messages: each with `role` and `content`.
            temperature: 0 for the likeliest text.
            top_p: share of the probability that is drawn from.
            max_tokens: most tokens of the answer.
            seed: of the drawing, where the server has one.
            stop: texts that end the answer.

        Raises:
            Refused: the server does not take this question.
            FewtuneError: no answer after all attempts, or one that cannot be read.
        """
        asked = {
            "model": self.model,
            "messages": list(messages),
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": max_tokens,
            **({} if seed is None else {"seed": seed}),
            **({"stop": list(stop)} if stop else {}),
        }
        told = self._call("chat/completions", asked)
        try:
            choice = told["choices"][0]
            text = choice["message"].get("content")
            if not isinstance(text, str | None):
                raise TypeError
            return Answer(text or "", str(choice.get("finish_reason")), told.get("usage") or {})
        except (LookupError, TypeError, AttributeError):
            raise FewtuneError(
                f"{self.url} answered with JSON that is no chat completion "
                f"({_short(json.dumps(told, ensure_ascii=False), _key())}); give the address of an "
                "OpenAI-compatible server."
            ) from None

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The server's JSON; attempts that may yet succeed are made again."""
        key = _key()
        request = self._request(path, body, key)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._opener.open(request, timeout=self.timeout) as reply:
                    return _read(self.url, reply.read(), key)
            except HTTPError as error:
                with error:
                    said = _short(_said(error), key)
                    asked = _retry_after(error.headers)
                again = error.code == 429 or error.code >= 500
                if attempt == ATTEMPTS or not again or asked > LONGEST_PAUSE:
                    kind = Refused if error.code in OF_THE_QUESTION else FewtuneError
                    raise kind(self._refused(error, said, asked)) from None
            except (URLError, HTTPException, OSError) as error:
                asked = 0.0
                if attempt == ATTEMPTS:
                    raise FewtuneError(self._unreachable(error)) from None
            # half of the pause is drawn, so that calls side by side do not come back as one
            time.sleep(max(asked, self.pause * 2 ** (attempt - 1) * uniform(0.5, 1)))
        raise AssertionError("the last attempt returns or raises")

    def _request(self, path: str, body: Mapping[str, Any] | None, key: str) -> Request:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "fewtune"}
        request = Request(f"{self.url}/{path}", data, headers)
        if key:
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        return request

    @cached_property
    def _opener(self) -> OpenerDirector:
        """Proxies are for other machines; a redirection is refused, since it would take the key."""
        here = (ProxyHandler({}),) if _is_loopback(urlsplit(self.url).hostname or "") else ()
        return build_opener(_NoRedirect, *here)

    def _refused(self, error: HTTPError, said: str, asked: float) -> str:
        told = f"{error.code} {error.reason}" + (f": {said}" if said else "")
        if 300 <= error.code < 400:
            do = f"give the address that it sends to ({error.headers.get('Location')})"
        elif asked > LONGEST_PAUSE:
            do = f"start again in {asked:,.0f} seconds, as it asks"
        else:
            wrong = "check the model's name and what it can do"
            do = REMEDIES.get(error.code, wrong if error.code < 500 else "look at its log")
        return f"{self.url} refused the call ({told}); {do}."

    def _unreachable(self, error: Exception) -> str:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, TimeoutError):
            why = f"nothing came for {self.timeout:g} seconds"
        else:
            why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return (
            f"{self.url} does not answer ({why}; {ATTEMPTS} attempts); see that the server runs "
            "and that the address is right."
        )


class _NoRedirect(HTTPRedirectHandler):
    """A redirection ends as the status that it is."""

    def redirect_request(self, *args: Any, **named: Any) -> None:
        """Go nowhere."""
        return


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, half a bracket
        good = False
    if not good or not address.isascii() or any(one.isspace() for one in address):
        raise UsageError(
            f"endpoint: the address of a server is expected, http://host:port/v1 or "
            f"http://host:port/v1#MODEL; got {address!r}."
        )
    return parts


def _key() -> str:
    """The key of the environment, or nothing. It goes into one header and nowhere else.

    Raises:
        UsageError: it cannot be a key. (The library would print it in its error.)
    """
    name = next((name for name in KEYS if os.environ.get(name, "").strip()), None)
    key = os.environ[name].strip() if name else ""
    if not (key.isascii() and (key.isprintable() or not key)):
        raise UsageError(f"{name}: a key has letters, digits and marks alone; set it anew.")
    return key


def _is_loopback(host: str) -> bool:
    """
    >>> _is_loopback("localhost"), _is_loopback("::1"), _is_loopback("example.org")
    (True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(url: str, raw: bytes, key: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        said = _short(raw[: 4 * SHOWN].decode("utf-8", "replace"), key)
        raise FewtuneError(
            f"{url} answered with something that is not JSON ({said!r}); give the address of an "
            "OpenAI-compatible server."
        ) from None


def _said(error: HTTPError) -> str:
    """The message in a refusal, however the server wraps it."""
    try:
        raw = error.read(2**16).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return ""
    try:
        told = json.loads(raw)
    except ValueError:
        return raw
    while isinstance(told, Mapping):
        told = next((told[name] for name in ("error", "message", "detail") if name in told), "")
    return str(told)


def _short(text: str, key: str) -> str:
    """The beginning of a server's message, without the key that it may repeat."""
    plain = " ".join((text.replace(key, "***") if key else text).split())
    return plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}…"


def _retry_after(headers: Message) -> float:
    """Seconds that a server asks to wait, 0 where it does not; a number, or a date."""
    told = headers.get("Retry-After", "")
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
