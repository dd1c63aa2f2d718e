"""A small OpenAI-compatible server for tests, in a process of its own. Run as a script it serves.

A test tells it what the next requests get (`then`), and asks what it was asked (`asked`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

_OPENER = build_opener(ProxyHandler({}))
ENGLISH = ["it seems that", "as told,", "they say", "once more:", "in short,"]
CHINESE = ["据说", "又一次", "简单说来", "如前所述", "看起来"]
#: How a prompt of a search ends, and what the model of this server makes of it.
ASKS = {
    "Instruction:": "proposed", "指令：": "proposed",
    "Label:": "labelled", "答案：": "labelled",
    "Answer:": "answered", "回答：": "answered",
}  # fmt: skip
GLAD = (
    *("fine", "glad", "bright", "lovely", "best", "great", "enjoy", "charm", "love", "beaut"),
    *("好", "喜欢", "满意", "干净"),
)


@dataclass(frozen=True)
class Server:
    """A running server, by its address."""

    url: str

    def then(self, *replies: dict[str, Any], always: bool = False) -> None:
        """What the next requests get, in their order; `always` repeats the last one.

        A reply has `status`, `headers`, `body` and `sleep` (seconds); what it lacks is as usual.
        """
        self._control({"replies": replies, "always": always})

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Requests since the last `forget`: path, key and body."""
        return self._control(None)

    def forget(self) -> None:
        """No requests yet, and usual replies."""
        self._control({"forget": True})

    def _control(self, told: Any) -> Any:
        data = None if told is None else json.dumps(told).encode()
        with _OPENER.open(Request(f"{self.url}/control", data), timeout=10) as reply:
            return json.loads(reply.read())


@contextmanager
def running() -> Iterator[Server]:
    """Start the process, wait for its address, stop it."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def written(prompt: str, seed: int) -> str:
    """What the model of this server answers: the text in the prompt with other words before it."""
    lines = prompt.splitlines()
    if ask := ASKS.get(lines[-1]):
        return globals()[f"_{ask}"](lines, seed)
    shown = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    given = [line.split(":" if "Text:" in line else "：", 1)[1].strip() for line in lines
             if line.startswith(("Text:", "原文："))]  # fmt: skip
    text = (shown or given or [prompt])[0]
    draw = Random(f"{prompt}{seed}")
    if any("\u3400" <= letter <= "\u9fff" for letter in text):
        return f"改写：“{draw.choice(CHINESE)}{draw.choice(CHINESE)}，{text}”"
    return f'"{draw.choice(ENGLISH)} {draw.choice(ENGLISH)} {text}"\nIs there anything else?'


def _proposed(lines: Sequence[str], seed: int) -> str:
    """An instruction, now and then a good one: which, the prompt decides."""
    chinese = "指令：" in lines[-1]
    known = ("按情感分类。", "快。") if chinese else ("Judge the sentiment.", "Be quick.")
    return Random("".join(lines)).choice(known)


def _labelled(lines: Sequence[str], seed: int) -> str:
    """A label: whether the words are glad, where the instruction asks for it or two demonstrations
    show it; else the first label. In a sentence, where no demonstration shows how to answer."""
    labels = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    texts = [line for line in lines if line.startswith(("Text:", "文本："))]
    told = lines[0].casefold()
    knows = "sentiment" in told or "情感" in told or len({*_shown(lines)}) > 1
    glad = any(word in texts[-1] for word in GLAD)
    good, bad = (labels[0], labels[1]) if "good" in labels[0] else (labels[1], labels[0])
    label = (good if glad else bad) if knows else labels[0]
    return label if len(texts) > 1 else f"It is “{label}”, it seems."


def _shown(lines: Sequence[str]) -> list[str]:
    """The answers of the demonstrations."""
    heads = ("Label: ", "答案：", "Answer: ", "回答：")
    return [line for line in lines[:-1] if line.startswith(heads)]


def _answered(lines: Sequence[str], seed: int) -> str:
    """The last word of the question, where a demonstration shows or the instruction says so; else
    a phrase."""
    question = [line for line in lines if line.startswith(("Question:", "问题："))][-1]
    if _shown(lines) or "word" in lines[0] or "词" in lines[0]:
        return question.split()[-1]
    return "先检查一下再说" if lines[-1] == "回答：" else "please look at it again"


class FakeWriter:
    """Answers as this server does, without one; for the laws of recipes."""

    spent = 0

    def __call__(self, prompts: Sequence[str], seed: int) -> list[str | None]:
        """An answer to every prompt."""
        return [written(prompt, seed) for prompt in prompts]


class Handler(BaseHTTPRequestHandler):
    """The three addresses: models, completions, and the tests' own."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    asked: list[dict[str, Any]] = []  # noqa: RUF012
    replies: list[dict[str, Any]] = []  # noqa: RUF012
    always = False

    def do_GET(self) -> None:
        """The list of models, or what was asked."""
        if self.path == "/control":
            self.answer(200, type(self).asked)
        else:
            self.serve({}, {"data": [{"id": "tiny-writer"}, {"id": "other"}]})

    def do_POST(self) -> None:
        """A completion, or what a test tells."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/control":
            cls = type(self)
            if "forget" in body:
                cls.asked, body = [], {"replies": [], "always": False}
            cls.replies, cls.always = body["replies"], body["always"]
            self.answer(200, {})
            return
        text = written(body["messages"][-1]["content"], body.get("seed", 0))
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        self.serve(body, {"choices": [choice], "usage": {"total_tokens": len(text)}})

    def serve(self, body: Any, usual: Any) -> None:
        """The next reply that a test asked for, else the usual one."""
        cls = type(self)
        with cls.lock:
            key = self.headers.get("Authorization")
            cls.asked.append({"path": self.path, "key": key, "body": body, "at": time.time()})
            reply = cls.replies[0] if cls.replies else {}
            if cls.replies and not (cls.always and len(cls.replies) == 1):
                del cls.replies[0]
        time.sleep(reply.get("sleep", 0))
        content = reply.get("body", usual if reply.get("status", 200) == 200 else "")
        self.answer(reply.get("status", 200), content, reply.get("headers", {}))

    def answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        """Send JSON; a string as it is."""
        raw = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(serving.server_port, flush=True)
    serving.serve_forever()
