"""A messaging API behind `limits`, which enforces the limit by itself: this file only serves it, says what it was told
to say, and writes down what it decided.

    python-limited limits_limited.py --port 8082 --log limited.log --rate 100/second --strategy moving-window

POST to any path answers 202 or 429. GET /stats tells how many it admitted and refused; GET /-/healthy answers 204.
"""

import argparse
import asyncio
import json
import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import STRATEGIES

REASONS = {
    200: "OK",
    202: "Accepted",
    204: "No Content",
    400: "Bad Request",
    404: "Not Found",
    429: "Too Many Requests",
}
HEAD_MAX = 64 * 1024


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8082)
    parser.add_argument("--log", default="limited.log")
    parser.add_argument("--rate", default="100/second", help="as limits words it: 300/minute, 20 per 2 second")
    parser.add_argument("--strategy", choices=sorted(STRATEGIES), default="moving-window")
    parser.add_argument("--headers", choices=["none", "legacy"], default="none", help="X-RateLimit-*")
    parser.add_argument("--retry-after", choices=["on", "off"], default="on")
    parser.add_argument("--lockout-s", type=float, default=0, help="whoever was refused stays refused for so long")
    parser.add_argument("--extend", action="store_true", help="a refused request starts its lockout anew")
    parser.add_argument("--key", default="address", help="address, path, or the name of a request header")
    parser.add_argument("--delay-ms", type=float, default=0, help="how long an accepted request takes")
    return parser.parse_args()


class Limited:
    """The limit, and the record of what it admitted."""

    def __init__(self, settings):
        self.settings = settings
        self.item = parse(settings.rate)
        self.limiter = STRATEGIES[settings.strategy](MemoryStorage())
        self.locked_until = {}
        # Written line by line: whoever has read an answer finds its line in the log.
        self.log = open(settings.log, "a", buffering=1, encoding="utf-8")
        self.counts = {"admitted": 0, "refused": 0}

    def decide(self, path, headers, address):
        """Admits a request or not; the answer's status and headers."""
        arrived_ns = time.time_ns()
        key = {"address": address, "path": path}.get(self.settings.key)
        if key is None:
            key = headers.get(self.settings.key.lower(), "")
        admitted, wait_s = self.ask(key)
        answer = {}
        if self.settings.headers == "legacy":
            reset_s, remaining = self.limiter.get_window_stats(self.item, key)
            answer["X-RateLimit-Limit"] = self.item.amount
            answer["X-RateLimit-Remaining"] = remaining if admitted else 0
            answer["X-RateLimit-Reset"] = math.ceil(reset_s)
        retry_after_s = None
        if not admitted and self.settings.retry_after == "on":
            retry_after_s = max(1, math.ceil(wait_s))
            answer["Retry-After"] = retry_after_s
        self.counts["admitted" if admitted else "refused"] += 1
        line = {
            "arrived_ns": arrived_ns,
            "admitted": admitted,
            "key": key,
            "path": path,
            "request_id": headers.get("x-request-id", ""),
            "retry_after_s": retry_after_s,
        }
        self.log.write(json.dumps(line) + "\n")
        return (202 if admitted else 429), answer

    def ask(self, key):
        """Whether it is admitted, and otherwise how many seconds the next one has to wait."""
        now = time.monotonic()
        lockout_s = self.settings.lockout_s
        locked_s = self.locked_until.get(key, now) - now
        if locked_s > 0:
            if self.settings.extend:
                locked_s = lockout_s
                self.locked_until[key] = now + lockout_s
            return False, locked_s
        if self.limiter.hit(self.item, key):
            return True, 0
        if lockout_s > 0:
            self.locked_until[key] = now + lockout_s
            return False, lockout_s
        return False, self.limiter.get_window_stats(self.item, key).reset_time - time.time()


class Connection(asyncio.Protocol):
    """HTTP/1.1 with bodies of a stated length, one request at a time, and connections that are kept."""

    def __init__(self, limited):
        self.limited = limited
        self.read = b""
        self.answering = False

    def connection_made(self, transport):
        self.transport = transport
        self.address = transport.get_extra_info("peername")[0]

    def data_received(self, data):
        self.read += data
        self.advance()

    def advance(self):
        while not self.answering and not self.transport.is_closing():
            head, end, rest = self.read.partition(b"\r\n\r\n")
            if not end:
                if len(self.read) > HEAD_MAX:
                    self.refuse_to_read()
                return
            line, *fields = head.decode("latin-1").split("\r\n")
            headers = {name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
            length = headers.get("content-length", "0")
            if "transfer-encoding" in headers or not length.isdigit() or len(line.split(" ")) != 3:
                self.refuse_to_read()
                return
            if len(rest) < int(length):
                return
            self.read = rest[int(length):]
            method, path, _ = line.split(" ")
            self.answer(method, path, headers)

    def refuse_to_read(self):
        self.write(400, {"Connection": "close"}, b"")
        self.transport.close()

    def answer(self, method, path, headers):
        if method == "GET" and path == "/-/healthy":
            self.write(204, {}, None)
        elif method == "GET" and path == "/stats":
            self.write(200, {}, json.dumps(self.limited.counts).encode())
        elif method != "POST":
            self.write(404, {}, b"{}")
        else:
            status, answer = self.limited.decide(path, headers, self.address)
            if status == 429:
                self.write(429, answer, b'{"status":429,"code":"too.many.requests"}')
                return
            body = json.dumps({"id": headers.get("x-request-id", "")}).encode()
            delay_s = self.limited.settings.delay_ms / 1000
            if delay_s > 0:
                self.answering = True
                asyncio.get_running_loop().call_later(delay_s, self.answer_late, answer, body)
            else:
                self.write(status, answer, body)

    def answer_late(self, headers, body):
        self.answering = False
        self.write(202, headers, body)
        self.advance()

    def write(self, status, headers, body):
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", *(f"{name}: {value}" for name, value in headers.items())]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))


async def main():
    limited = Limited(arguments())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(limited), "127.0.0.1", limited.settings.port)
    await server.serve_forever()


asyncio.run(main())
