"""Many hostile connections to a gateway on this machine, of one kind, for so many seconds.

Usage: python attacker.py KIND PORT CONNECTIONS SECONDS. It prints how many connections and requests were made.
"""

import asyncio
import random
import resource
import secrets
import sys
import time
from contextlib import suppress

PIECE = b"[]," * 20_000


async def slow_heads(reader, writer, counts):
    writer.write(b"GET /v1/batch HTTP/1.1\r\n")
    while not reader.at_eof():
        writer.write(b"X-A: b\r\n")
        await writer.drain()
        await asyncio.sleep(1)


async def slow_bodies(reader, writer, counts):
    stamp = str(int(time.time())).encode()
    signed = b"webhook-id: a\r\nwebhook-signature: v1,AAAA\r\nwebhook-timestamp: " + stamp + b"\r\n"
    paths = [b"/v1/batch/rides/jobs", b"/v1/batch/rides/uploads?name=a.csv", b"/v1/triggers/landing"]
    line = b"POST " + random.choice(paths) + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n"
    writer.write(line + signed + b"\r\n")
    while not reader.at_eof():
        writer.write(b"[")
        await writer.drain()
        await asyncio.sleep(1)


async def idle(reader, writer, counts):
    await reader.read(1)


async def bombs(reader, writer, counts, path=b"/v1/batch/rides", size=1 << 20):
    head = b"PUT " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % size + b"[")
    counts["requests"] += 1
    sent = 0
    while sent < size and not reader.at_eof():
        writer.write(PIECE)
        await writer.drain()
        sent += len(PIECE)
    await reader.read(4096)


async def upload_bombs(reader, writer, counts):
    await bombs(reader, writer, counts, b"/v1/batch/uploads", 100 << 20)


async def repeat(reader, writer, counts, request):
    """The same request again and again on a connection, as fast as it is answered."""
    while not reader.at_eof():
        writer.write(request())
        counts["requests"] += 1
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))


async def bad_keys(reader, writer, counts):
    def request():
        key = f"myriad_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
        return f"GET /v1/batch HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode()

    await repeat(reader, writer, counts, request)


async def tokens(reader, writer, counts):
    # {"alg":"RS256","typ":"JWT","kid":"unknown"}
    head = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InVua25vd24ifQ"

    def request():
        text = random.choice(["a.b.c", f"{head}.e30.AAAA"])
        return f"GET /v1/batch HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {text}\r\n\r\n".encode()

    await repeat(reader, writer, counts, request)


async def readyz(reader, writer, counts):
    await repeat(reader, writer, counts, lambda: b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")


KINDS = {
    "slow-heads": slow_heads,
    "slow-bodies": slow_bodies,
    "idle": idle,
    "json-bombs": bombs,
    "upload-bombs": upload_bombs,
    "bad-keys": bad_keys,
    "tokens": tokens,
    "readyz": readyz,
}


async def attack(kind, port, connections, seconds):
    """Keep so many connections of a kind open, each made again when it is closed."""
    counts, end = {"connections": 0, "requests": 0}, time.monotonic() + seconds

    async def one():
        while time.monotonic() < end:
            with suppress(OSError, asyncio.IncompleteReadError, StopIteration):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                counts["connections"] += 1
                try:
                    await KINDS[kind](reader, writer, counts)
                finally:
                    writer.close()
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(one()) for _ in range(connections)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return counts


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kind, port, connections, seconds = sys.argv[1:]
    counts = asyncio.run(attack(kind, int(port), int(connections), float(seconds)))
    print(", ".join(f"{count:,}" for count in counts.values()))
