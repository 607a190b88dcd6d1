"""Nodes that add up numbers together: each step is a sum over all of them.

Node 0 listens at its own address; the others connect, say how far they are, and
go on from the farthest, since the state is the same on all. One that loses its
peers looks again at who is where, until it is told to stop.
"""

import json
import os
import pathlib
import signal
import socket
import sys
import time

NODE = int(os.environ["SPOTRELAY_NODE"])
NODES = int(os.environ["SPOTRELAY_NODES"])
STEPS = int(sys.argv[1])
STATE = pathlib.Path(os.environ["SPOTRELAY_CHECKPOINT_DIR"]) / "state.json"


def say(text):
    print(f"node {NODE}: {text}", flush=True)


def address(node):
    """Where a node is now: the file is written anew when one was replaced."""
    lines = pathlib.Path(os.environ["SPOTRELAY_NODE_ADDRESSES_FILE"]).read_text().split()
    host, _, port = lines[node].rpartition(":")
    return (host.strip("[]"), int(port)) if host else None


def load():
    if STATE.exists():
        state = json.loads(STATE.read_text())
        return state["step"], state["total"]
    return 0, 0


def save(step, total):
    new = STATE.with_suffix(".new")
    new.write_text(json.dumps({"step": step, "total": total}))
    new.replace(STATE)


class Peers:
    """The connections: of node 0 to all others, of the others to node 0."""

    def __init__(self):
        self.files = []
        self.listener = None

    def close(self):
        for file in self.files:
            try:
                file.close()
            except OSError:
                pass
        self.files = []

    def meet(self, step, total):
        """Connects all nodes, and is the farthest step of any, and its total."""
        if NODE == 0:
            return self.gather(step, total)
        while True:
            try:
                connection = socket.create_connection(address(0), timeout=5)
                connection.settimeout(60)
                file = connection.makefile("rw")
                self.files = [file]
                return tuple(self.exchange([NODE, step, total]))
            except (OSError, ValueError, TypeError):
                self.close()
                time.sleep(0.1)

    def gather(self, step, total):
        if self.listener is None:
            self.listener = socket.create_server(address(0))
        joined = {}
        while len(joined) < NODES - 1:
            connection, _ = self.listener.accept()
            connection.settimeout(60)
            file = connection.makefile("rw")
            try:
                node, its_step, its_total = json.loads(file.readline())
            except (OSError, ValueError):
                continue  # it went again
            joined[node] = file
            step, total = max((step, total), (its_step, its_total))
        self.files = [joined[node] for node in sorted(joined)]
        self.send([step, total])
        return step, total

    def send(self, value):
        for file in self.files:
            file.write(json.dumps(value) + "\n")
            file.flush()

    def receive(self):
        values = []
        for file in self.files:
            line = file.readline()
            if not line.endswith("\n"):
                raise ConnectionError("a peer is gone")
            values.append(json.loads(line))
        return values

    def exchange(self, value):
        self.send(value)
        return self.receive()[0]

    def sum(self, value):
        """The sum of all nodes' values, on all nodes."""
        if NODE != 0:
            return self.exchange(value)
        total = value + sum(self.receive())
        self.send(total)
        return total


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    step, total = load()
    say(f"starts as process {os.getpid()}, incarnation {os.environ['SPOTRELAY_NODE_INCARNATION']}, at step {step}")
    peers = Peers()
    met = False
    while step < STEPS:
        try:
            if not met:
                step, total = peers.meet(step, total)
                met = True
                say(f"all {NODES} go on after step {step}")
            total += peers.sum(NODE + step)
        except (OSError, ValueError):
            say("a peer is gone")
            peers.close()
            met = False
            continue
        step += 1
        save(step, total)
        time.sleep(0.2)
    if NODE == 0:
        out = pathlib.Path(os.environ["SPOTRELAY_OUTPUT_DIR"]) / "total.txt"
        out.write_text(f"{total}\n")
    say(f"the total of {step} steps is {total}")


main()
