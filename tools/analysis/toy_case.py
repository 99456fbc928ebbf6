"""Show the effects of logit standardization and of divergences on toy cases.

The first case is figure 2 of the logit standardization (LSKD) paper: plain knowledge
distillation (KD) prefers a student with a wrong prediction to one with a correct
prediction. The second case concerns balance divergence distillation (BDD): gradients of
the forward, reverse and balanced Kullback-Leibler (KL) divergence for a class with a
small teacher probability. The third is the same for the other divergences. See
docs/background.md for the mathematics, and docs/divergences.md.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure, SubFigure
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mmkd.functional import balanced_kl_divergence, kl_divergence, standardize
from mmkd.losses import (
    AdaptiveKL,
    AlphaBeta,
    EntropyBalancedKL,
    JensenShannon,
    SkewKL,
    ToDi,
)

CLASSES = ['cat', 'dog', 'bird', 'frog']
LOGITS = dict(teacher=[1, 4, 3, 2], S1=[1, 2.8, 3, 2], S2=[0.1, 0.4, 0.3, 0.2])
NUMBER = 19  # number of classes in the BDD case, as in Cityscapes
WEIGHTS = dict(forward=(1, 0), reverse=(0, 1), balanced=(1, 1))
FAMILY = {
    'AlphaBeta(0.8, 0.3)': AlphaBeta(),
    'JensenShannon': JensenShannon(),
    'SkewKL': SkewKL(),
    'SkewKL, reverse': SkewKL(reverse=True),
    'ToDi': ToDi(),
    'AdaptiveKL': AdaptiveKL(),
    'EntropyBalancedKL': EntropyBalancedKL(),
}
# Colors of Okabe and Ito, which are suitable for color-blind readers.
COLORS = dict(teacher='#555555', S1='#D55E00', S2='#56B4E9')
COLORS |= dict(forward='#E69F00', reverse='#0072B2', balanced='#CC79A7')


def toy_case() -> tuple[dict[str, dict[str, Tensor]], dict[str, dict[str, float]]]:
    """Return the networks' outputs in three forms, and both losses of the students."""
    logits = {
        name: torch.tensor([row], dtype=torch.float64) for name, row in LOGITS.items()
    }
    probabilities = {name: row.softmax(1) for name, row in logits.items()}
    scores = {name: standardize(row) for name, row in logits.items()}
    outputs = dict(logits=logits, probabilities=probabilities, standardized=scores)
    losses = {}
    for kind, rows in (('plain', logits), ('standardized', scores)):
        teacher, *students = rows.values()
        values = [kl_divergence(student, teacher).item() for student in students]
        losses[kind] = dict(zip(('S1', 'S2'), values, strict=True))
    return outputs, losses


def gradient_of_class(
    teacher: Tensor, student: Tensor, forward: float, reverse: float
) -> Tensor:
    """Return :func:`gradient_of` forward and reverse KL with these weights."""
    divergence = partial(
        balanced_kl_divergence, forward_weight=forward, reverse_weight=reverse
    )
    return gradient_of(divergence, teacher, student)


def gradient_of(
    divergence: nn.Module | partial, teacher: Tensor, student: Tensor
) -> Tensor:
    """Return the gradient of a divergence with respect to one logit of the student.

    Args:
        divergence: Function of the student's and the teacher's logits.
        teacher: Teacher's probability of the class, (N,). The other classes have equal
            probabilities in both networks.
        student: Student's probability of the class, (N,).
    """
    others = NUMBER - 1
    s, t = (
        torch.stack([p, *[(1 - p) / others] * others], dim=1).log()
        for p in (student, teacher)
    )
    s.requires_grad_()
    return torch.autograd.grad(divergence(s, t).sum(), s)[0][:, 0]


def print_toy_case(console: Console) -> None:
    """Print the predictions of the networks, and the student that each loss prefers."""
    outputs, losses = toy_case()
    says = {name: CLASSES[row.argmax()] for name, row in outputs['logits'].items()}
    table = Table('', '', title='LSKD: a toy case, tau = 1', box=box.SIMPLE)
    for column in (*CLASSES, 'says', 'KD loss'):
        table.add_column(column, justify='right')
    sections = zip(outputs.items(), ({}, *losses.values()), strict=True)
    for (form, rows), loss in sections:
        for name, row in rows.items():
            cells = [f'{value:.2f}' for value in row[0].tolist()]
            cells += [says[name], f'{loss[name]:.4f}' if name in loss else '']
            first = form if name == 'teacher' else ''
            table.add_row(first, name, *cells, end_section=name == 'S2')
    console.print(table)
    for kind, loss in losses.items():
        best = min(loss, key=loss.get)
        print(f'{kind:12} KD prefers {best}, which says {says[best]}')
    print(f'the teacher says {says["teacher"]}\n')


def print_gradients(console: Console) -> None:
    """Print the gradients of three students for decreasing probabilities."""
    p = torch.tensor([0.5, *(10.0**-n for n in range(1, 7))], dtype=torch.float64)
    title = f'BDD: gradient for one of {NUMBER} classes: teacher p, student q, tau = 1'
    table = Table('p', title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    columns = [[f'{each:.0e}' for each in p.tolist()]]
    for name, q, kinds, digits in (
        (f'q = 1/{NUMBER}', torch.full_like(p, 1 / NUMBER), WEIGHTS, '+.4f'),
        ('q = 10 p', 10 * p, ('forward', 'reverse'), '+.1e'),
        ('q = p/10', p / 10, ('forward', 'reverse'), '+.1e'),
    ):
        some = q < 1
        for kind in kinds:
            table.add_column(f'{name}\n{kind}', justify='right')
            gradient = gradient_of_class(p[some], q[some], *WEIGHTS[kind]).tolist()
            absent = [''] * (len(p) - len(gradient))
            columns.append(absent + [format(each, digits) for each in gradient])
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    console.print(table)


def print_family(console: Console) -> None:
    """Print the gradients of the other divergences for an undecided student."""
    p = torch.tensor([0.5, *(10.0**-n for n in range(1, 7))], dtype=torch.float64)
    q = torch.full_like(p, 1 / NUMBER)
    title = f'other divergences, q = 1/{NUMBER}'
    table = Table('p', title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    columns = [[f'{each:.0e}' for each in p.tolist()]]
    heads = 'Alpha-Beta', 'Jensen-Shannon', 'Skew', 'Skew, reverse', 'ToDi'
    heads += 'Adaptive', 'Entropy-Balanced'
    for head, divergence in zip(heads, FAMILY.values(), strict=True):
        table.add_column(head.replace('-', '-\n').replace(' ', '\n'), justify='right')
        columns.append([f'{g:+.4f}' for g in gradient_of(divergence, p, q).tolist()])
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    console.print(table)


def draw_toy_case(figure: SubFigure) -> None:
    """Draw figure 2 of the LSKD paper: outputs in three forms, and the losses."""
    outputs, losses = toy_case()
    title = 'LSKD: the relations between logits count, not their range (tau = 1)'
    figure.suptitle(title, fontweight='bold')
    *axes, last = figure.subplots(1, 4)
    for axis, (form, rows) in zip(axes, outputs.items(), strict=True):
        for i, (name, row) in enumerate(rows.items()):
            places = torch.arange(len(CLASSES)) + 0.27 * (i - 1)
            label = f'{name} says {CLASSES[row.argmax()]}'
            axis.bar(places, row[0], 0.25, color=COLORS[name], label=label)
        axis.set_title(form)
        axis.set_xticks(range(len(CLASSES)), CLASSES)
        axis.axhline(0, color='0.3', lw=0.8)
    for i, name in enumerate(('S1', 'S2')):
        values = [loss[name] for loss in losses.values()]
        bars = last.bar(
            [0.42 * i - 0.21, 0.42 * i + 0.79], values, 0.38, color=COLORS[name]
        )
        last.bar_label(bars, fmt='%.4f', padding=2, fontsize=9)
    last.set_title('KD loss: lower is preferred')
    last.set_xticks(range(2), losses)
    last.margins(y=0.12)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=3, frameon=False)


def draw_gradients(figure: SubFigure) -> None:
    """Draw the claim of BDD and a case in which it does not help."""
    title = f'BDD: the gradient for one of {NUMBER} classes; teacher p, student q'
    title += ', both share the rest evenly (tau = 1)'
    figure.suptitle(title, fontweight='bold')
    left, right = figure.subplots(1, 2)
    p = torch.logspace(-6, -0.3, 200, dtype=torch.float64)
    for kind, style, formula in (
        ('forward', '-', '$q - p$'),
        ('reverse', '-', r'$q\,(\log(q/p) - \mathrm{KL}(q \Vert p))$'),
        ('balanced', '--', 'their sum'),
    ):
        gradient = gradient_of_class(p, torch.full_like(p, 1 / NUMBER), *WEIGHTS[kind])
        line = dict(color=COLORS[kind], lw=2.2, label=f'{kind}: {formula}')
        left.semilogx(p, gradient, style, **line)
    left.axhline(0, color='0.3', lw=0.8)
    for factor, style, name in ((10, '-', '10 p'), (0.1, ':', 'p / 10')):
        some = p[factor * p < 0.6]
        for kind in ('forward', 'reverse'):
            size = gradient_of_class(some, factor * some, *WEIGHTS[kind]).abs()
            line = dict(color=COLORS[kind], lw=2.2, label=f'{kind}, q = {name}')
            right.loglog(some, size, style, **line)
    left.set_title(
        f'undecided student, q = 1/{NUMBER}: below p = 0.01\n'
        'only reverse KL still sees how small p is'
    )
    right.set_title(
        'student ten times off: both vanish with q;\n'
        'if q is too low, reverse KL is the weaker'
    )
    left.set_ylabel("gradient for the student's logit")
    right.set_ylabel('size of that gradient')
    for axis in (left, right):
        axis.set_xlabel("the teacher's probability p of the class")
        axis.legend(frameon=False)


def draw_family(figure: SubFigure) -> None:
    """Draw the gradients of the other divergences beside forward KL's."""
    title = 'Other divergences in the same cases'
    figure.suptitle(title, fontweight='bold')
    left, right = figure.subplots(1, 2)
    p = torch.logspace(-6, -0.3, 200, dtype=torch.float64)
    family = {'forward KL': partial(balanced_kl_divergence, reverse_weight=0), **FAMILY}
    colors = ['#555555', '#E69F00', '#009E73', '#56B4E9', '#0072B2', '#D55E00']
    colors += ['#CC79A7', '#000000']
    styles = ['--', '-', '-', '-', '-', '-', ':', ':']
    for (name, divergence), color, style in zip(
        family.items(), colors, styles, strict=True
    ):
        line = dict(color=color, ls=style, lw=1.8, label=name)
        undecided = torch.full_like(p, 1 / NUMBER)
        left.semilogx(p, gradient_of(divergence, p, undecided), **line)
        right.loglog(p, gradient_of(divergence, p, p / 10).abs(), **line)
    left.axhline(0, color='0.3', lw=0.8)
    left.set_title(f'undecided student, q = 1/{NUMBER}')
    right.set_title('student too low, q = p / 10')
    left.set_ylabel("gradient for the student's logit")
    right.set_ylabel('size of that gradient')
    for axis in (left, right):
        axis.set_xlabel("the teacher's probability p of the class")
    left.legend(frameon=False, fontsize=9)


def main() -> None:
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument('--out', type=Path, default=Path('docs/toy_case.png'))
    args = parser.parse_args()
    console = Console()
    print_toy_case(console)
    print_gradients(console)
    print_family(console)

    figure = Figure(figsize=(12, 12), layout='constrained')
    rows = figure.subfigures(3, 1, height_ratios=[1, 1.2, 1.1], hspace=0.04)
    for draw, row in zip(
        (draw_toy_case, draw_gradients, draw_family), rows, strict=True
    ):
        draw(row)
    for axis in figure.axes:
        axis.spines[['top', 'right']].set_visible(False)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=90, bbox_inches='tight', pad_inches=0.15)
    print(f'Written: {args.out}')


if __name__ == '__main__':
    main()
