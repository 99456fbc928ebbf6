"""Losses and divergences as pure functions of tensors; needs torch only.

Each loss returns a scalar. Arguments that the losses share:

* ``student``, ``teacher``: logits of the same shape, (N, C) or (N, C, H, W), called s
  and t in the formulas.
* ``tau``, ``tau_teacher``: temperature, 0.001 to 1000, and the teacher's own (default:
  ``tau``).
* ``standardize``: Z-score the logits along the softmax axis first (LSKD). Default
  False.
* ``divergence``: D, a callable ``(student, teacher, tau, dim)`` that returns a value
  per position, factor tau^2 included, such as :func:`kl_divergence`, the default, or
  ``functools.partial(balanced_kl_divergence, reverse_weight=7.0)``.
* ``mask``: boolean (N,) or (N, H, W), True at the M valid positions. Default: all are.
  If none is valid, a loss is 0, with a graph. Logits at the others affect neither value
  nor gradient, whatever they are, NaN and infinity included.
* ``weight``: w, (N,) or (N, H, W), factor of each position, such as
  :func:`class_balance`. Default: 1.

All raise a ValueError for different shapes, an empty batch, an argument out of range
or, to standardize, fewer than 3 classes. In float32, values and gradients are finite
for logits up to 1e34; with ``scale_compensated``, a squared standard deviation, up to
1e18.
"""

from .balance import class_balance
from .cwd import cwd_loss
from .dist import dist_loss
from .divergence import balanced_kl_divergence, kl_divergence
from .dkd import dkd_loss
from .kd import ctkd_loss, curriculum_temperature, kd_loss
from .masking import masked_mean
from .mlkd import mlkd_loss
from .standardize import prepare_logits, standardize

__all__ = [
    'balanced_kl_divergence',
    'class_balance',
    'ctkd_loss',
    'curriculum_temperature',
    'cwd_loss',
    'dist_loss',
    'dkd_loss',
    'kd_loss',
    'kl_divergence',
    'masked_mean',
    'mlkd_loss',
    'prepare_logits',
    'standardize',
]
