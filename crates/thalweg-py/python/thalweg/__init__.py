"""Laws over the weights of neural networks, learned from training trajectories.

==================  =====================================================================================
:class:`Zoo`        many training runs of one network: trained, of one's own checkpoints, or opened
:func:`fit`         a meta-model of a zoo
:class:`Model`      samples networks, is tuned towards rewards
:class:`Networks`   networks: state dicts, modules of PyTorch, logits, gradients, scores
:func:`judge`       accuracy, novelty and diversity beside the zoo and the trivial baselines
:mod:`metrics`      distances between samples of weights
:mod:`rewards`      what a generator is steered towards
:mod:`shift`        tests of harmful covariate shift
:mod:`latent`       latent spaces for fits
:mod:`data`         data sets by name
==================  =====================================================================================

Same seed and settings, same bytes: as the program ``thalweg``, which is installed with the package, makes them, on any number of threads. Work releases the interpreter's lock and stops at
Ctrl-C. What is to be known of files and data is told to the logger ``thalweg``.
"""
from . import data, latent, metrics, rewards, shift
from ._core import Architecture, __version__
from .judging import Judgement, judge
from .model import Batch, Model, fit
from .networks import Networks
from .zoo import Zoo

__all__ = [
    "Architecture", "Batch", "Judgement", "Model", "Networks", "Zoo", "data", "fit", "judge", "latent", "metrics", "rewards", "shift", "__version__",
]
