"""Formulas of the losses between features, written naively in float64.

One position, channel or pair at a time; shares no code with mmkd.
"""

import torch

from tests.reference import kl, pearson, softmax


def pixels(features, mask, image):
    """Feature vector of each valid pixel of an image, in order."""
    _, _, height, width = features.shape
    return [
        (y, x, features[image, :, y, x])
        for y in range(height)
        for x in range(width)
        if mask[image, y, x]
    ]


def cosine(a, b):
    return (a * b).sum() / ((a**2).sum() * (b**2).sum()).sqrt()


def of_pixels(student, teacher, mask, term):
    """Mean of a term over the valid pixels of all images."""
    terms = [
        term(s, t)
        for n in range(len(student))
        for (_, _, s), (_, _, t) in zip(
            pixels(student, mask, n), pixels(teacher, mask, n), strict=True
        )
    ]
    return sum(terms) / len(terms)


def mse(student, teacher, mask):
    return of_pixels(student, teacher, mask, lambda s, t: ((s - t) ** 2).mean())


def cosine_distance(student, teacher, mask):
    return of_pixels(student, teacher, mask, lambda s, t: 1 - cosine(s, t))


def correlation(student, teacher, mask):
    channels = range(student.shape[1])
    terms = [1 - pearson(student[:, c][mask], teacher[:, c][mask]) for c in channels]
    return sum(terms) / len(terms)


def attention_transfer(student, teacher, mask):
    total = 0
    for n in range(len(student)):
        maps = []
        for features in (student, teacher):
            energy = [(f**2).mean() for _, _, f in pixels(features, mask, n)]
            energy = torch.stack(energy)
            maps.append(energy / (energy**2).sum().sqrt())
        total = total + ((maps[0] - maps[1]) ** 2).sum() / len(maps[0])
    return total / len(student)


def cells_of(features, mask, image, side):
    """Mean feature of the valid pixels of each cell that has one."""
    size = features.shape[2] // side
    found = {}
    for y, x, f in pixels(features, mask, image):
        found.setdefault((y // size, x // size), []).append(f)
    return [sum(group) / len(group) for _, group in sorted(found.items())]


def similarity(student, teacher, mask, side, temperature=None):
    total = 0
    for n in range(len(student)):
        tables = []
        for features in (student, teacher):
            cells = cells_of(features, mask, n, side)
            tables.append([[cosine(a, b) for b in cells] for a in cells])
        ours, theirs = tables
        count, value = len(ours), 0
        for i in range(count):
            if temperature is None:
                value = value + sum(
                    (ours[i][j] - theirs[i][j]) ** 2 for j in range(count)
                )
            else:
                q, p = (
                    torch.stack([t[i][j] for j in range(count) if j != i])
                    for t in tables
                )
                divergence = kl(softmax(p / temperature), softmax(q / temperature))
                value = value + count * divergence
        total = total + value / count**2
    return total / len(student)


def ifvd(student, teacher, target, mask):
    terms = []
    for n in range(len(student)):
        found = []
        for features in (student, teacher):
            vectors = pixels(features, mask, n)
            groups = {}
            for y, x, f in vectors:
                groups.setdefault(int(target[n, y, x]), []).append(f)
            prototypes = {k: sum(v) / len(v) for k, v in groups.items()}
            found.append(
                [cosine(f, prototypes[int(target[n, y, x])]) for y, x, f in vectors]
            )
        terms += [(a - b) ** 2 for a, b in zip(*found, strict=True)]
    return sum(terms) / len(terms)
