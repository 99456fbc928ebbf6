"""The formulas of the losses, written naively in float64 from the papers.

One position or channel at a time, with probabilities and ordinary logarithms; shares no
code with mmkd. Gradients come from autograd through these loops.
"""

import torch


def softmax(x):
    return x.exp() / x.exp().sum()


def kl(p, q):
    return (p * (p.log() - q.log())).sum()


def standardize(x, eps=1e-7):
    """z of a vector; a single entry is its own mean."""
    if len(x) == 1:
        return x * 0
    variance = ((x - x.sum() / len(x)) ** 2).sum() / (len(x) - 1)
    return (x - x.sum() / len(x)) / (variance.sqrt() + eps)


def divergence(
    student,
    teacher,
    tau=1.0,
    tau_teacher=None,
    tau_reverse=None,
    forward_weight=1.0,
    reverse_weight=0.0,
    standardized=False,
):
    """a tau^2 KL(p || q) + b tau_r^2 KL(q_r || p_r) of two vectors."""
    if standardized:
        student, teacher = standardize(student), standardize(teacher)
    tau_reverse = tau_reverse or tau
    ratio = (tau_teacher or tau) / tau  # the teacher's temperature to the student's
    forward = kl(softmax(teacher / (tau * ratio)), softmax(student / tau))
    reverse = kl(softmax(student / tau_reverse), softmax(teacher / tau_reverse / ratio))
    return forward_weight * tau**2 * forward + reverse_weight * tau_reverse**2 * reverse


def kd(student, teacher, target=None, ignore_index=255, loss_weight=1.0, **options):
    """Mean divergence over the samples (N, C), or over the counted pixels."""
    pairs = []
    for n in range(len(student)):
        if student.ndim == 2:
            pairs.append((student[n], teacher[n]))
            continue
        for y in range(student.shape[2]):
            for x in range(student.shape[3]):
                if target is None or target[n, y, x] != ignore_index:
                    pairs.append((student[n, :, y, x], teacher[n, :, y, x]))
    total = sum(divergence(s, t, **options) for s, t in pairs)
    return loss_weight * total / len(pairs)


def cwd(student, teacher, target=None, ignore_index=255, loss_weight=1.0, **options):
    """Divergence over the counted positions, mean over all images and channels."""
    total = 0
    for n in range(len(student)):
        for c in range(student.shape[1]):
            s, t = student[n, c].flatten(), teacher[n, c].flatten()
            if target is not None:
                counted = target[n].flatten() != ignore_index
                s, t = s[counted], t[counted]
            if len(s):
                total = total + divergence(s, t, **options)
    return loss_weight * total / (student.shape[0] * student.shape[1])


def value_and_gradient(function, student, *args, **kwargs):
    """The scalar that ``function`` gives and its gradient at ``student``."""
    student = student.detach().requires_grad_()
    value = function(student, *args, **kwargs)
    (gradient,) = torch.autograd.grad(value, student)
    return value.detach(), gradient


def pair(*shape, dtype=torch.float64):
    """Logits of a student and a teacher, always the same."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, *shape, generator=generator, dtype=torch.float64) + 1
    return logits[0].to(dtype), logits[1].to(dtype)
