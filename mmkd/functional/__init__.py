"""Losses and divergences as pure functions of tensors; needs torch only.

Each loss takes the student's and the teacher's logits at one resolution, (N, C) or
(N, C, H, W), and returns a scalar. Shared arguments:

* ``tau``, ``tau_teacher``: temperature, and the teacher's own (default: ``tau``).
* ``standardize``: Z-score the logits along the softmax axis first (LSKD).
* ``divergence``: callable ``(student, teacher, tau, dim)`` that returns a value per
  position, such as :func:`kl_divergence` or
  ``functools.partial(balanced_kl_divergence, reverse_weight=7.0)``.
* ``mask``: boolean, True where a position is valid: (N,) or (N, H, W). Default: all
  are. If none is valid, a loss is 0.
* ``weight``: floating point, same shape: factor of each position, of mean 1.
"""

from .balance import class_balance
from .ctkd import ctkd_loss, curriculum_temperature
from .cwd import cwd_loss
from .dist import dist_loss
from .divergence import balanced_kl_divergence, kl_divergence
from .dkd import dkd_loss
from .kd import kd_loss
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
