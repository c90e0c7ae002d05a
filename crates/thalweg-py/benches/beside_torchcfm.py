"""Thalweg beside torchcfm in one run, on one zoo: seconds of the same training, and the loss on runs that neither saw.

Both learn a velocity field between the starts and the ends of the same training runs, in the same coordinates, by the same number of steps with batches of the same
size, AdamW without decay at one learning rate (ours falls by a cosine and averages the weights, as it does unless told otherwise) and nets of one hidden width;
both are read on the same held-out records.
Both take all cores that they find; RAYON_NUM_THREADS and OMP_NUM_THREADS say otherwise.

`python crates/thalweg-py/benches/beside_torchcfm.py [steps]`; needs torch, torchcfm and POT; half a minute on two cores.
"""
import sys
import time

import numpy as np
import thalweg as tw
import torch
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
from torchcfm.models.models import MLP

BATCH, RATE, WIDTH = 64, 1e-3, 64


def main(steps):
    zoo = tw.Zoo.train("digits", "digits", kind="fork", runs=100, steps=200)
    train, _, test = zoo.split()
    settings = dict(optimiser={"learning-rate": RATE, "weight-decay": 0.0}, field={"residual-mlp": {"width": WIDTH}})
    started = time.perf_counter()
    ours = tw.fit(zoo, steps=steps, batch=BATCH, **settings)
    our_seconds = time.perf_counter() - started
    ends = lambda runs: np.stack([ours.points(zoo.theta(runs, [k])[:, 0]) for k in (0, -1)])
    held_out = [ours.batch(np.repeat(ends(test), 8, axis=1), seed) for seed in range(20)]
    our_loss = np.mean([batch.loss for batch in held_out])

    start, end = map(torch.tensor, ends(train))
    dimension = start.shape[1]
    torch.manual_seed(0)
    field = MLP(dimension, w=WIDTH, time_varying=True)
    adamw = torch.optim.AdamW(field.parameters(), lr=RATE, weight_decay=0.0)
    matcher = ConditionalFlowMatcher(sigma=0.0)
    started = time.perf_counter()
    for _ in range(steps):
        rows = torch.randint(len(start), (BATCH,))
        t, x, u = matcher.sample_location_and_conditional_flow(start[rows], end[rows])
        loss = torch.mean((field(torch.cat([x, t[:, None]], -1)) - u) ** 2)
        adamw.zero_grad()
        loss.backward()
        adamw.step()
    their_seconds = time.perf_counter() - started
    with torch.no_grad():
        at = lambda b: field(torch.cat([torch.tensor(b.x), torch.tensor(b.t)[:, None]], -1)).numpy()
        their_loss = np.mean([np.mean((at(batch) - batch.u) ** 2) for batch in held_out])
    nothing = np.mean([np.mean(batch.u ** 2) for batch in held_out])
    print(f"{steps} steps of {BATCH} pairs of {dimension} weights; {len(train)} runs, {len(test)} held out; a field of zero has the loss {nothing:.4f}")
    print(f"thalweg   {our_seconds:6.1f} s  held-out loss {our_loss:.4f}")
    print(f"torchcfm  {their_seconds:6.1f} s  held-out loss {their_loss:.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
