"""What a study says of how students follow their teacher."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from studies.page import WIDTH, Page, plain

from mmkd.analysis.statistics import format_mean, mean_and_sd
from studies.trials import Trials

FIDELITY = {
    'agreement': 'agreement',
    'forward_kl': 'KL(teacher \\|\\| student)',
    'reverse_kl': 'KL(student \\|\\| teacher)',
    'rank_correlation': 'rank correlation',
    'small_probability_error': 'error of small probabilities',
    'std_ratio': 'std ratio',
    'ece': 'calibration error',
}


def draw_fidelity(page: Page, trials: Trials, methods: Sequence[str]) -> None:
    """Fills in the table and the figure."""
    page.fill('fidelity', *table(trials, methods))
    text = 'Rank correlation, error of small probabilities, standard deviations'
    page.save('fidelity', figure_of(trials, methods), text)


def values_of(trials: Trials, method: str, kind: str) -> list[float]:
    """A figure of each seed."""
    runs = trials.of('methods')[method]
    return [run['metrics'][f'fidelity/{kind}'] for run in runs.values()]


def table(trials: Trials, methods: Sequence[str]) -> tuple[list, list]:
    """Mean and standard deviation of each figure."""
    rows = [
        [
            m,
            *(
                format_mean(*mean_and_sd(values_of(trials, m, kind)), digits=3)
                for kind in FIDELITY
            ),
        ]
        for m in methods
    ]
    return ['method', *FIDELITY.values()], rows


def figure_of(trials: Trials, methods: Sequence[str]) -> Figure:
    """What the papers claim: order, small probabilities, range."""
    kinds = 'rank_correlation', 'small_probability_error', 'std_ratio'
    figure = Figure((WIDTH, 2.7), layout='constrained')
    for axes, kind in zip(figure.subplots(1, 3, sharey=True), kinds, strict=True):
        for place, method in enumerate(methods):
            values = values_of(trials, method, kind)
            axes.scatter(values, [place] * len(values), 18)
        axes.set_title(FIDELITY[kind], fontsize=9)
        axes.set_yticks(range(len(methods)), methods)
        axes.set_ylim(len(methods) - 0.5, -0.5)
        plain(axes)
    return figure
