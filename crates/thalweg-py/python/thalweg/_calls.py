"""Modules that are not called with given weights as all others are: recurrent layers, compiled modules.

Imported only where it is needed: the package works without PyTorch.
"""
import contextlib
import copy

import torch
from torch import nn


def once(one, names):
    """The names of different tensors, by what tells tensors apart: of tied ones the first."""
    seen = set()
    return [name for name in names if not (one[name] in seen or seen.add(one[name]))]


@contextlib.contextmanager
def recurrent(module):
    """Recurrent layers hold a list of their tensors besides: in it, too, are those that are given."""
    def given(part, _):
        part.__dict__["_flat_weights"] = [getattr(part, name) for name in part._flat_weights_names]

    parts = [part for part in module.modules() if isinstance(part, nn.RNNBase)]
    hooks = [part.register_forward_pre_hook(given) for part in parts]
    own = [part._flat_weights for part in parts]
    try:
        yield
    finally:
        for part, hook, weights in zip(parts, hooks, own):
            hook.remove()
            part.__dict__["_flat_weights"] = weights


class Compiled(torch.autograd.Function):
    """A scripted or traced module with weights that are given: PyTorch calls these with their own alone, so a copy is filled."""

    @staticmethod
    def forward(ctx, module, names, inputs, *weights):
        module = copy.deepcopy(module)
        own = module.state_dict(keep_vars=True)
        own = [own[name] for name in names]
        with torch.no_grad():
            for value, weight in zip(own, weights):
                value.copy_(weight)
        first = set(once({name: value.data_ptr() for name, value in zip(names, own)}, names))
        # A tensor of several names has its gradient under the first.
        ctx.own = [value.requires_grad_(asked) if name in first else None for name, value, asked in zip(names, own, ctx.needs_input_grad[3:])]
        with torch.enable_grad():
            ctx.given = module(*inputs)
        return ctx.given.detach()

    @staticmethod
    def backward(ctx, slopes):
        trained = [i for i, value in enumerate(ctx.own) if value is not None and value.requires_grad]
        given = dict(zip(trained, torch.autograd.grad(ctx.given, [ctx.own[i] for i in trained], slopes, allow_unused=True)))
        return (None, None, None, *(given.get(i) for i in range(len(ctx.own))))
