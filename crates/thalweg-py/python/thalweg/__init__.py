"""Laws over the weights of neural networks, learned from training trajectories.

==================  =====================================================================================
:class:`Zoo`        many training runs of one network: trained, of one's own checkpoints, or opened
:func:`fit`         a meta-model of a zoo
:class:`Model`      samples networks, is tuned towards rewards
:class:`Networks`   networks: state dicts, modules of PyTorch, logits, gradients, scores
:func:`judge`       accuracy, novelty and diversity beside the zoo and the trivial baselines
:mod:`rewards`      what a generator is steered towards
:mod:`shift`        tests of harmful covariate shift
:mod:`latent`       latent spaces for fits
:mod:`data`         data sets by name
==================  =====================================================================================

Same seed and settings, same bytes: as the program ``thalweg`` makes them, on any number of threads. Work releases the interpreter's lock and stops at
Ctrl-C. What is to be known of files and data is told to the logger ``thalweg``.
"""
from . import data, latent, rewards, shift
from ._core import Architecture, __version__
from .judging import Judgement, judge
from .model import Model, fit
from .networks import Networks
from .zoo import Zoo

__all__ = [
    "Architecture", "Judgement", "Model", "Networks", "Zoo", "data", "fit", "judge", "latent", "rewards", "shift", "__version__",
]
