#!/usr/bin/env python3
"""Clients that no server likes, for many_connections.sh. Runs until SIGTERM.

    odd_clients.py PORT IDLE SLOW DEAF

IDLE connections say nothing. SLOW ones send a RESP request, one byte a second, over and over. DEAF
ones send GET without end and never read a reply, until the server stops taking more. Prints
"ready" when all are connected, and at the end how many the server has closed.
"""

import resource
import selectors
import signal
import socket
import sys
import time

SLOW_REQUEST = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n"
DEAF_BURST = SLOW_REQUEST * 256
STEPS = 100  # of a second


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.setblocking(False)
    return client


def send(client, data):
    """False: the server has closed it."""
    try:
        client.send(data)
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


def receive(client):
    """Takes what is there. False: the server has closed it."""
    try:
        return client.recv(65536) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def main():
    if len(sys.argv) != 5:
        print(__doc__)
        return 2
    port, idle, slow, deaf = map(int, sys.argv[1:])
    wanted = idle + slow + deaf + 64
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        print(f"the limit of open files is {hard}: {wanted} are needed (ulimit -n)",
              file=sys.stderr)
        return 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    signal.signal(signal.SIGINT, lambda *_: stopping.append(True))

    idle_clients = [connect(port) for _ in range(idle)]
    slow_clients = {connect(port): 0 for _ in range(slow)}
    deaf_clients = [connect(port) for _ in range(deaf)]
    print("ready", flush=True)
    closed = {"idle": 0, "slow": 0, "deaf": 0}
    selector = selectors.DefaultSelector()
    for client in idle_clients:
        selector.register(client, selectors.EVENT_READ)
    second = time.monotonic()
    while not stopping:
        # They take turns within the second: the load is even.
        slow_now, deaf_now = list(slow_clients), list(deaf_clients)
        for step in range(STEPS):
            for client in slow_now[step::STEPS]:
                at = slow_clients[client]
                if send(client, SLOW_REQUEST[at:at + 1]) and receive(client):
                    slow_clients[client] = (at + 1) % len(SLOW_REQUEST)
                else:
                    closed["slow"] += 1
                    del slow_clients[client]
            for client in deaf_now[step::STEPS]:
                if not send(client, DEAF_BURST):
                    closed["deaf"] += 1
                    deaf_clients.remove(client)
            time.sleep(0.9 / STEPS)
        for key, _ in selector.select(0):
            if not receive(key.fileobj):
                closed["idle"] += 1
                selector.unregister(key.fileobj)
        second += 1
        while not stopping and time.monotonic() < second:
            time.sleep(0.01)
    print("closed by the server: " + ", ".join(f"{n} {kind}" for kind, n in closed.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
