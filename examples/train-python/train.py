"""Trains a small network on two interleaved spirals, in plain Python, so that
it can be interrupted at any moment: the final metric is the same, bit for bit,
however often it was.

    python3 train.py --epochs 12      # on a laptop, with spotrelay.py beside it
"""

import argparse
import hashlib
import json
import math
import os
import random

import spotrelay

HIDDEN = 12
BATCH = 20


def spirals(points, chance):
    """Points of two spirals: ((x, y), which)."""
    data = []
    for i in range(points):
        which = i % 2
        turn = 3.0 * i / points
        angle = turn * math.pi + which * math.pi
        data.append(((turn * math.cos(angle) + chance.gauss(0, 0.05), turn * math.sin(angle) + chance.gauss(0, 0.05)), which))
    return data


def fresh():
    """The state of a training that begins: all that it goes on from."""
    chance = random.Random(1)
    return {
        "epoch": 0,  # finished ones
        "step": 0,  # batches of the next one
        "order": [],  # in which the next one takes the points; empty before it begins
        "history": [],  # loss after each epoch
        "in": [[chance.gauss(0, 1) for _ in range(3)] for _ in range(HIDDEN)],
        "out": [chance.gauss(0, 1) for _ in range(HIDDEN + 1)],
        "chance": chance.getstate(),
    }


def load():
    """The state that was saved, or a fresh one."""
    if not spotrelay.resumed() or not (spotrelay.restore() / "state.json").exists():
        return fresh()
    state = json.loads((spotrelay.restore() / "state.json").read_text())
    version, numbers, gauss = state["chance"]
    state["chance"] = (version, tuple(numbers), gauss)
    return state


def forward(state, point):
    hidden = [math.tanh(w[0] * point[0] + w[1] * point[1] + w[2]) for w in state["in"]]
    total = state["out"][-1] + sum(w * h for w, h in zip(state["out"], hidden))
    return hidden, 1 / (1 + math.exp(-max(-60.0, min(60.0, total))))


def learn(state, batch):
    """One step of gradient descent."""
    rate = 0.5 / len(batch)
    inner = [[0.0] * 3 for _ in range(HIDDEN)]
    outer = [0.0] * (HIDDEN + 1)
    for point, which in batch:
        hidden, guess = forward(state, point)
        wrong = guess - which
        outer[-1] += wrong
        for j, h in enumerate(hidden):
            outer[j] += wrong * h
            back = wrong * state["out"][j] * (1 - h * h)
            inner[j][0] += back * point[0]
            inner[j][1] += back * point[1]
            inner[j][2] += back
    for weights, change in zip(state["in"] + [state["out"]], inner + [outer]):
        for k, amount in enumerate(change):
            weights[k] -= rate * amount


def loss(state, data):
    total = 0.0
    for point, which in data:
        guess = min(max(forward(state, point)[1], 1e-12), 1 - 1e-12)
        total -= math.log(guess if which else 1 - guess)
    return total / len(data)


def train_epoch(state, data, r):
    """Goes on with the epoch at hand, to its end."""
    if not state["order"]:
        chance = random.Random()
        chance.setstate(state["chance"])
        state["order"] = list(range(len(data)))
        chance.shuffle(state["order"])
        state["chance"] = chance.getstate()
    while state["step"] * BATCH < len(data):
        r.check()  # where the state is whole
        begin = state["step"] * BATCH
        learn(state, [data[i] for i in state["order"][begin:begin + BATCH]])
        state["step"] += 1
    state["history"].append(loss(state, data))
    state["epoch"], state["step"], state["order"] = state["epoch"] + 1, 0, []


def main():
    options = argparse.ArgumentParser(description="Trains a small network, and can be interrupted.")
    options.add_argument("--epochs", type=int, default=12)
    options.add_argument("--points", type=int, default=12000)
    options = options.parse_args()

    data = spirals(options.points, random.Random(0))
    state = load()
    print(f"attempt {os.environ.get('SPOTRELAY_ATTEMPT', '-')}: begins at epoch {state['epoch'] + 1}, step {state['step']}", flush=True)

    def save_state():
        spotrelay.atomic_write("state.json", json.dumps(state))

    with spotrelay.run(save_state) as r:
        while state["epoch"] < options.epochs:
            train_epoch(state, data, r)
            save_state()
            committed = spotrelay.save()  # sync=False would go on meanwhile
            print(f"epoch {state['epoch']}: loss {state['history'][-1]:.6f}", "committed" if committed else "", flush=True)
        r.done()

    weights = hashlib.sha256(json.dumps([state["in"], state["out"]]).encode()).hexdigest()
    metric = {"epochs": state["epoch"], "loss": state["history"][-1], "history": state["history"], "weights_sha256": weights}
    (spotrelay.output_dir() / "metric.json").write_text(json.dumps(metric, indent=2) + "\n")
    print(f"done: loss {metric['loss']:.6f}, weights {weights[:12]}")


if __name__ == "__main__":
    main()
