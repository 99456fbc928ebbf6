"""Losses and divergences as pure functions of tensors; requires only torch.

Each loss returns a scalar. N is the batch size, C the number of classes, H and W the
height and width of a map; a position is a sample of (N, C) or a pixel of (N, C, H, W).
The losses share these arguments:

* ``student``, ``teacher``: logits of the same shape, (N, C) or (N, C, H, W); s and t in
  the formulas.
* ``tau``, ``tau_teacher``: temperature of both networks, 0.001 to 1000, and a separate
  temperature of the teacher (default: ``tau``).
* ``standardize``: Z-score the logits along the softmax axis first, as in logit
  standardization knowledge distillation (LSKD). Default False.
* ``divergence``: D, a callable ``(student, teacher, tau, dim)`` that returns one value
  per position, including the factor tau^2. Default :func:`kl_divergence`, the
  Kullback-Leibler (KL) divergence; another example is
  ``functools.partial(balanced_kl_divergence, reverse_weight=7.0)``.
* ``mask``: boolean (N,) or (N, H, W), True at the M valid positions. Default: all
  positions are valid. If none is valid, the loss is 0 and has a graph. Logits at
  invalid positions, including NaN and infinity, affect neither value nor gradient.
* ``weight``: w, (N,) or (N, H, W), factor of each position, for example from
  :func:`class_balance`. Default: 1.

All losses raise a ValueError for mismatched shapes, an empty batch, an argument out of
range and, with ``standardize``, fewer than 3 classes. In float32, values and gradients
are finite for logits up to 1e34, or up to 1e18 with ``scale_compensated``, which
squares the standard deviation.
"""

from .alpha_beta import alpha_beta_divergence
from .attention_transfer import attention_transfer_loss
from .balance import class_balance
from .bernoulli import bernoulli_logits, log_odds
from .cwd import cwd_loss
from .dist import dist_loss
from .divergence import balanced_kl_divergence, kl_divergence
from .dkd import dkd_loss
from .edges import label_edges
from .feature_cosine import feature_cosine_loss
from .feature_mse import feature_mse_loss
from .ifvd import ifvd_loss
from .kd import ctkd_loss, curriculum_temperature, kd_loss
from .mask_logits import mask_logits
from .masking import masked_mean
from .mixture_kl import jensen_shannon_divergence, skew_kl_divergence
from .mlkd import mlkd_loss
from .similarity import similarity_loss
from .standardize import prepare_logits, standardize
from .teacher_correction import correct_teacher
from .teachers import average_teachers
from .weighted_kl import (
    adaptive_kl_divergence,
    entropy_balanced_kl_divergence,
    todi_divergence,
)

__all__ = [
    'adaptive_kl_divergence',
    'alpha_beta_divergence',
    'attention_transfer_loss',
    'average_teachers',
    'balanced_kl_divergence',
    'bernoulli_logits',
    'class_balance',
    'correct_teacher',
    'ctkd_loss',
    'curriculum_temperature',
    'cwd_loss',
    'dist_loss',
    'dkd_loss',
    'entropy_balanced_kl_divergence',
    'feature_cosine_loss',
    'feature_mse_loss',
    'ifvd_loss',
    'jensen_shannon_divergence',
    'kd_loss',
    'kl_divergence',
    'label_edges',
    'log_odds',
    'mask_logits',
    'masked_mean',
    'mlkd_loss',
    'prepare_logits',
    'similarity_loss',
    'skew_kl_divergence',
    'standardize',
    'todi_divergence',
]
