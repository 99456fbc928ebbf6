"""Show the effects of logit standardization and balance divergence on toy cases.

The first case is figure 2 of the logit standardization (LSKD) paper: plain knowledge
distillation (KD) prefers a student with a wrong prediction to one with a correct
prediction. The second case concerns balance divergence distillation (BDD): gradients of
the forward, reverse and balanced Kullback-Leibler (KL) divergence for a class with a
small teacher probability. See docs/background.md for the mathematics.
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure, SubFigure
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmkd.functional import balanced_kl_divergence, kl_divergence, standardize

CLASSES = ['cat', 'dog', 'bird', 'frog']
LOGITS = dict(teacher=[1, 4, 3, 2], S1=[1, 2.8, 3, 2], S2=[0.1, 0.4, 0.3, 0.2])
NUMBER = 19  # number of classes in the BDD case, as in Cityscapes
WEIGHTS = dict(forward=(1, 0), reverse=(0, 1), balanced=(1, 1))
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
    """Return the gradient of a divergence with respect to one logit of the student.

    Args:
        teacher: Teacher's probability of the class, (N,). The other classes have equal
            probabilities in both networks.
        student: Student's probability of the class, (N,).
        forward: Weight of forward KL.
        reverse: Weight of reverse KL.
    """
    others = NUMBER - 1
    s, t = (
        torch.stack([p, *[(1 - p) / others] * others], dim=1).log()
        for p in (student, teacher)
    )
    s.requires_grad_()
    loss = balanced_kl_divergence(s, t, forward_weight=forward, reverse_weight=reverse)
    return torch.autograd.grad(loss.sum(), s)[0][:, 0]


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


def main() -> None:
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument('--out', type=Path, default=Path('docs/toy_case.png'))
    args = parser.parse_args()
    console = Console()
    print_toy_case(console)
    print_gradients(console)

    figure = Figure(figsize=(12, 8), layout='constrained')
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, 1.2], hspace=0.04)
    draw_toy_case(upper)
    draw_gradients(lower)
    for axis in figure.axes:
        axis.spines[['top', 'right']].set_visible(False)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=100, bbox_inches='tight', pad_inches=0.15)
    print(f'Written: {args.out}')


if __name__ == '__main__':
    main()
