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
    formula=None,
):
    """a tau^2 KL(p || q) + b tau_r^2 KL(q_r || p_r), or a formula, of two vectors."""
    if standardized:
        student, teacher = standardize(student), standardize(teacher)
    tau_reverse = tau_reverse or tau
    ratio = (tau_teacher or tau) / tau  # the teacher's temperature to the student's
    if formula:
        return tau**2 * formula(
            softmax(teacher / (tau * ratio)), softmax(student / tau)
        )
    forward = kl(softmax(teacher / (tau * ratio)), softmax(student / tau))
    reverse = kl(softmax(student / tau_reverse), softmax(teacher / tau_reverse / ratio))
    return forward_weight * tau**2 * forward + reverse_weight * tau_reverse**2 * reverse


def positions(student, teacher, target, ignore_index):
    """Both networks' logits and the label of each sample, or of each valid pixel."""
    if student.ndim == 2:
        labels = [None] * len(student) if target is None else target.tolist()
        return list(zip(student, teacher, labels, strict=True))
    found = []
    for n in range(len(student)):
        for y in range(student.shape[2]):
            for x in range(student.shape[3]):
                label = None if target is None else int(target[n, y, x])
                if label != ignore_index:
                    found.append((student[n, :, y, x], teacher[n, :, y, x], label))
    return found


def kd(student, teacher, target=None, ignore_index=255, loss_weight=1.0, **options):
    """Mean divergence over the samples (N, C), or over the valid pixels."""
    pairs = positions(student, teacher, target, ignore_index)
    total = sum(divergence(s, t, **options) for s, t, _ in pairs)
    return loss_weight * total / len(pairs)


def cwd(student, teacher, target=None, ignore_index=255, loss_weight=1.0, **options):
    """Divergence over the valid positions, mean over all images and channels."""
    total = 0
    for n in range(len(student)):
        for c in range(student.shape[1]):
            s, t = student[n, c].flatten(), teacher[n, c].flatten()
            if target is not None:
                valid = target[n].flatten() != ignore_index
                s, t = s[valid], t[valid]
            if len(s):
                total = total + divergence(s, t, **options)
    return loss_weight * total / (student.shape[0] * student.shape[1])


def dkd(
    student,
    teacher,
    target,
    alpha=1.0,
    beta=8.0,
    tau=4.0,
    tau_teacher=None,
    tau_reverse=None,
    forward_weight=1.0,
    reverse_weight=0.0,
    standardized=False,
    ignore_index=255,
    loss_weight=1.0,
    formula=None,
):
    """Target class against the rest, and the rest renormalized, with probabilities."""
    ratio, terms = (tau_teacher or tau) / tau, []
    for s, t, c in positions(student, teacher, target, ignore_index):
        if standardized:
            s, t = standardize(s), standardize(t)
        others = [i for i in range(len(s)) if i != c]
        term = 0
        for weight, tau_half, reverse in (
            (forward_weight, tau, False),
            (reverse_weight, tau_reverse or tau, True),
        ):
            p, q = softmax(t / (tau_half * ratio)), softmax(s / tau_half)
            if reverse:
                p, q = q, p
            two = [torch.stack([x[c], x[others].sum()]) for x in (p, q)]
            rest = [x[others] / x[others].sum() for x in (p, q)]
            value = alpha * (formula or kl)(*two) + beta * (formula or kl)(*rest)
            term = term + weight * tau_half**2 * value
        terms.append(term)
    return loss_weight * sum(terms) / len(terms)


def pearson(a, b, eps=0.0):
    """Scalar product of centered vectors over the product of their norms and eps."""
    a, b = a - a.sum() / len(a), b - b.sum() / len(b)
    return (a * b).sum() / (((a**2).sum() * (b**2).sum()).sqrt() + eps)


def dist(
    student,
    teacher,
    target=None,
    beta=1.0,
    gamma=1.0,
    tau=1.0,
    tau_teacher=None,
    standardized=False,
    ignore_index=255,
    loss_weight=1.0,
    eps=1e-8,
):
    """1 - correlation, over the classes and over the positions."""
    rows = []
    for s, t, _ in positions(student, teacher, target, ignore_index):
        if standardized:
            s, t = standardize(s), standardize(t)
        rows.append((softmax(s / tau), softmax(t / (tau_teacher or tau))))
    between = sum(1 - pearson(q, p, eps) for q, p in rows) / len(rows)
    student, teacher = (torch.stack(x) for x in zip(*rows, strict=True))
    columns = range(student.shape[1])
    within = sum(1 - pearson(student[:, c], teacher[:, c], eps) for c in columns)
    total = beta * between + gamma * within / len(columns)
    return loss_weight * tau**2 * total


def mlkd(
    student,
    teacher,
    target=None,
    tau=4.0,
    taus=(3.0, 5.0, 2.0, 6.0),
    beta=1.0,
    gamma=1.0,
    standardized=False,
    ignore_index=255,
    loss_weight=1.0,
    **options,
):
    """Single predictions, then inner products of rows and of columns, one by one.

    Of maps no larger than the grid of cells: each pixel is a sample.
    """
    ratio = (options.get('tau_teacher') or tau) / tau
    total = 0
    for each in (tau, *taus):
        own = {**options, 'tau': each, 'tau_teacher': each * ratio}
        own['standardized'] = standardized
        total = total + kd(student, teacher, target, ignore_index, **own)
        groups = [(student, teacher, target)]
        if student.ndim == 4:
            targets = [None] * len(student) if target is None else target.split(1)
            groups = list(zip(student.split(1), teacher.split(1), targets, strict=True))
        levels = []
        for group in groups:
            rows = [
                (softmax(s / each), softmax(t / (each * ratio)))
                for s, t, _ in positions(*group, ignore_index)
            ]
            if not rows:
                continue
            q, p = (torch.stack(x) for x in zip(*rows, strict=True))
            level = 0
            for weight, a, b in ((beta, q, p), (gamma, q.T, p.T)):
                pairs = [(i, j) for i in range(len(a)) for j in range(len(a))]
                square = sum(
                    ((a[i] * a[j]).sum() - (b[i] * b[j]).sum()) ** 2 for i, j in pairs
                )
                level = level + weight * square / len(a)
            levels.append(level)
        total = total + sum(levels) / len(levels)
    return loss_weight * total


def value_and_gradient(function, student, *args, factor=1.0, **kwargs):
    """A scalar function's value and the gradient of ``factor`` times it."""
    student = student.detach().requires_grad_()
    value = function(student, *args, **kwargs)
    (gradient,) = torch.autograd.grad(factor * value, student)
    return value.detach(), gradient


def pair(*shape, dtype=torch.float64, device='cpu'):
    """Logits of a student and a teacher, always the same."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, *shape, generator=generator, dtype=torch.float64) + 1
    return logits[0].to(device, dtype), logits[1].to(device, dtype)


def computed_in(dtype):
    """Precision of a loss of logits of some type: half ones are computed in float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32
