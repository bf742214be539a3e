"""RESP on a socket: bytes out, whole replies in, each as the bytes that it came in."""

import select
import socket
import time

PATIENCE_SECONDS = 30


def encode(words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


class Broken(Exception):
    """The server closed the connection, went silent, or sent what is not RESP."""

    def __init__(self, what, closed=False):
        super().__init__(what)
        self.closed = closed


def reply_end(data, at):
    """Where the reply that starts at `at` ends; 0: it is not complete."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return 0
    kind = bytes(data[at:at + 1])
    if kind in b"+-:_#,(":
        return line_end + 2
    try:
        count = int(data[at + 1:line_end])
    except ValueError:
        raise Broken(f"not RESP: {bytes(data[at:at + 60])!r}") from None
    if kind in b"$!=":
        end = line_end + 2 + (count + 2 if count >= 0 else 0)
        return end if end <= len(data) else 0
    if kind not in b"*%~>|":
        raise Broken(f"not RESP: {bytes(data[at:at + 60])!r}")
    at = line_end + 2
    values = {b"%": 2 * count, b"|": 2 * count + 1}.get(kind, count)
    for _ in range(values):
        at = reply_end(data, at)
        if at == 0:
            return 0
    return at


def value_of(data, at=0):
    """(value, end) of a reply: bytes, int, None, list, ("map", list), ("error", bytes) ..."""
    line_end = data.index(b"\r\n", at)
    kind, text = bytes(data[at:at + 1]), bytes(data[at + 1:line_end])
    at = line_end + 2
    if kind == b"+" or kind == b"(" or kind == b",":
        return text, at
    if kind == b"-":
        return ("error", text), at
    if kind == b":":
        return int(text), at
    if kind == b"#":
        return text == b"t", at
    if kind == b"_":
        return None, at
    count = int(text)
    if count < 0:
        return None, at
    if kind in b"$=!":
        return bytes(data[at:at + count]), at + count + 2
    items = []
    for _ in range(2 * count if kind == b"%" else count):
        item, at = value_of(data, at)
        items.append(item)
    if kind == b"%":
        return ("map", items), at
    return (("set", items) if kind == b"~" else items), at


class Connection:
    """One client; `port` of loopback."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()

    def close(self):
        self.socket.close()

    def send(self, data):
        """All of it, while taking what comes back: a server may stop reading until we read."""
        view = memoryview(data)
        self.socket.setblocking(False)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while view:
            try:
                view = view[self.socket.send(view):]
            except BlockingIOError:
                self._take_some()
            except OSError as error:
                raise Broken(str(error)) from None
            if time.monotonic() > deadline:
                raise Broken("the server takes nothing more")
        self.socket.settimeout(PATIENCE_SECONDS)

    def _take_some(self):
        select.select([self.socket], [self.socket], [], 1)
        try:
            piece = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        if not piece:
            raise Broken("the server closed the connection", closed=True)
        self.data += piece

    def _receive(self):
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionResetError:
            piece = b""
        except OSError as error:
            raise Broken(f"no reply: {error}") from None
        if not piece:
            raise Broken("the server closed the connection; the last bytes were "
                         f"{bytes(self.data[-80:])!r}", closed=True)
        self.data += piece

    def until(self, mark):
        """All bytes in front of `mark`, which ends what has come."""
        while not self.data.endswith(mark):
            self._receive()
        out = bytes(self.data[:-len(mark)])
        self.data.clear()
        return out

    def ask(self, *words):
        """The reply to one command, as a value."""
        self.send(encode(words))
        while True:
            end = reply_end(self.data, 0) if self.data else 0
            if end:
                value, _ = value_of(bytes(self.data[:end]))
                del self.data[:end]
                return value
            self._receive()
