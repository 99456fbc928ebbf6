"""The formulas of the divergences, written naively in float64 from the papers.

Each takes two probability vectors p of the teacher and q of the student and shares no
code with mmkd.
"""


def kl(p, q):
    return (p * (p.log() - q.log())).sum()


def alpha_beta(p, q, alpha, beta):
    """Of the general case and, by Cichocki et al. 2011, equation 20, its limits."""
    total = alpha + beta
    if alpha and beta and total:
        mixed = p**alpha * q**beta
        own = (alpha * p**total + beta * q**total) / total
        return ((own - mixed) / (alpha * beta)).sum()
    if alpha and beta:
        ratio = (q / p) ** alpha
        return ((ratio.log() + 1 / ratio - 1) / alpha**2).sum()
    if beta:
        a, b = q**beta, p**beta
        return ((a * (a / b).log() - a + b) / beta**2).sum()
    if alpha:
        a, b = p**alpha, q**alpha
        return ((a * (a / b).log() - a + b) / alpha**2).sum()
    return ((q.log() - p.log()) ** 2 / 2).sum()


def jensen_shannon(p, q, lam):
    mixture = (1 - lam) * p + lam * q
    return lam * kl(q, mixture) + (1 - lam) * kl(p, mixture)


def skew_kl(p, q, lam, reverse):
    if reverse:
        return kl(q, (1 - lam) * p + lam * q)
    return kl(p, lam * p + (1 - lam) * q)


def todi(p, q):
    w = (p / (p + q)).detach()
    return (w * p * (p / q).log() + (1 - w) * q * (q / p).log()).sum()


def adaptive_kl(p, q, mu):
    head = tail = cumulative = 0.0
    for c in sorted(range(len(p)), key=lambda c: -float(p[c])):
        cumulative += float(p[c])
        error = abs(float(p[c]) - float(q[c]))
        if cumulative <= mu or cumulative == float(p[c]):
            head += error
        else:
            tail += error
    w = head / (head + tail)
    return w * kl(p, q) + (1 - w) * kl(q, p)


def entropy_balanced_kl(p, q, weight):
    teacher, student = (float(-(x * x.log()).sum()) for x in (p, q))
    forward = weight if teacher > student else 1
    reverse = weight if student > teacher else 1
    return forward * kl(p, q) + reverse * kl(q, p)


# Types of mmkd.losses, their formulas and arguments.
FORMULAS = {
    'alpha-beta': ('AlphaBeta', alpha_beta, dict(alpha=0.8, beta=0.3)),
    'alpha-0': ('AlphaBeta', alpha_beta, dict(alpha=0.6, beta=0.0)),
    '0-beta': ('AlphaBeta', alpha_beta, dict(alpha=0.0, beta=1.4)),
    'js': ('JensenShannon', jensen_shannon, dict(lam=0.3)),
    'skew': ('SkewKL', skew_kl, dict(lam=0.1, reverse=False)),
    'skew-reverse': ('SkewKL', skew_kl, dict(lam=0.2, reverse=True)),
    'todi': ('ToDi', todi, {}),
    'adaptive': ('AdaptiveKL', adaptive_kl, dict(mu=0.5)),
    'entropy': ('EntropyBalancedKL', entropy_balanced_kl, dict(weight=3.0)),
}
