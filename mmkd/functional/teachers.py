"""Average of the outputs of several teachers."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .checks import at_least_float32
from .classes import Group, merge_classes, spread_classes

Mean = Literal['probabilities', 'logits']


def average_teachers(
    teachers: Sequence[Tensor],
    groups: Sequence[Sequence[Group]] | None = None,
    mean: Mean = 'probabilities',
    sigmoid: bool = False,
) -> Tensor:
    r"""Return the logits of the average of several teachers.

    The teachers may have different classes: :math:`G_{kc}` are the outputs of teacher
    k, with logits :math:`t_k`, that belong to class c, and :math:`T_c` is the set of
    teachers that have such outputs. The result is :math:`\log q`, where

    .. math::
        q_c = \frac{m_c}{\sum_{c'} m_{c'}},
        \quad m_c = \frac{1}{|T_c|} \sum_{k \in T_c} p_k(c),
        \quad p_k(c) = \sum_{i \in G_{kc}} softmax(t_k)_i,

    and c runs over the classes with at least one teacher. The softmax runs over all
    outputs of a teacher, including those that belong to no class: a teacher with an
    output for everything else has a small weight where it is certain that none of its
    own classes is right. If each :math:`p_k` is the same distribution p, known in part,
    then :math:`m_c = p(c)`. A teacher without such an output always distributes
    probability 1 among its own classes. With the same classes, q is the usual mean of
    probabilities.

    With ``mean='logits'``, the result is the mean of the logits, for which all teachers
    must have the same classes, since the logits of different sets of classes have no
    common zero. Its softmax is the normalized geometric mean of the distributions.

    Args:
        teachers: Logits (N, T_k, ...) of each teacher, with the same N and size. Cast
            to float32 or better.
        groups: For each teacher, the outputs :math:`G_{kc}` of each class; empty for a
            class that it does not have. Default: the outputs of all teachers are the
            classes.
        mean: ``'probabilities'`` or ``'logits'``. Default ``'probabilities'``: it
            allows different classes.
        sigmoid: Each output is a logit of a Bernoulli distribution of its own, whose
            probabilities are averaged: :math:`m_c = p_c` is a sigmoid, and the result
            :math:`\log m_c - \log(1 - m_c)`. Default False.

    Returns:
        (N, K, ...), the logits of the K classes with at least one teacher, in order.

    Raises:
        ValueError: for an unknown ``mean``, mismatched shapes, or different classes
            with ``mean='logits'``.

    Example:
        >>> a = torch.tensor([[0.7, 0.1, 0.2]]).log()  # class 0, class 1, others
        >>> b = torch.tensor([[0.2, 0.8]]).log()  # class 2, others
        >>> average_teachers([a, b], [[(0,), (1,), ()], [(), (), (0,)]]).exp()
        tensor([[0.7000, 0.1000, 0.2000]])
    """
    if mean not in get_args(Mean):
        raise ValueError(f"the mean must be 'probabilities' or 'logits', not {mean!r}")
    logits = [at_least_float32(each) for each in teachers]
    if groups is None:
        groups = [[(index,) for index in range(each.shape[1])] for each in logits]
    pairs = list(zip(logits, groups, strict=True))
    if len({(len(each), *each.shape[2:], len(own)) for each, own in pairs}) > 1:
        shapes = ', '.join(str(tuple(each.shape)) for each in teachers)
        raise ValueError(f'the outputs of the teachers do not match: {shapes}')
    kept = [[c for c, group in enumerate(each) if group] for each in groups]
    merged = [merge_classes(each, [g for g in own if g]) for each, own in pairs]
    if mean == 'logits':
        if any(classes != kept[0] for classes in kept):
            raise ValueError(
                'the mean of logits needs teachers with the same classes; average '
                "'probabilities', or give each teacher a loss of its own"
            )
        return torch.stack([each / len(merged) for each in merged]).sum(0)
    union = sorted(set().union(*kept))
    if sigmoid:
        log_m = _log_sum([logsigmoid(each) for each in merged], kept, union)
        return log_m - _log_sum([logsigmoid(-each) for each in merged], kept, union)
    totals = (each.logsumexp(1, keepdim=True) for each in logits)
    parts = [each - total for each, total in zip(merged, totals, strict=True)]
    counts = [sum(c in classes for classes in kept) for c in union]
    log_m = _log_sum(parts, kept, union)
    if len(set(counts)) > 1:
        count = log_m.new_tensor(counts).view(-1, *[1] * (log_m.ndim - 2))
        log_m = log_m - count.log()
    return log_m.log_softmax(1)


def _log_sum(
    parts: Sequence[Tensor], kept: Sequence[Sequence[int]], union: Sequence[int]
) -> Tensor:
    """Return the log of the sum of probabilities given as logs of some classes each."""
    places = [[union.index(c) for c in classes] for classes in kept]
    pairs = zip(parts, places, strict=True)
    spread = [spread_classes(part, place, len(union)) for part, place in pairs]
    return torch.stack(spread).logsumexp(0)
