"""Grid search over the settings of each method of a study."""

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

from mmkd.analysis.statistics import NONE

from .trials import Trials


class Grid(NamedTuple):
    """Loss with the temperatures and weights to try.

    Args:
        loss: Config of the loss without temperature and weight.
        taus: Arguments that set a temperature, by name.
        weights: Weights of the loss.
    """

    loss: Mapping
    taus: Mapping[str, Mapping]
    weights: tuple[float, ...]

    def cells(self, method: str) -> dict[str, dict]:
        """Return the loss of each grid cell, by name of its trial."""
        return {
            f'{method}, tau {tau}, weight {weight:g}': dict(
                self.loss, **setting, loss_weight=weight
            )
            for (tau, setting), weight in product(self.taus.items(), self.weights)
        }


def taus(*values: float) -> dict[str, dict]:
    """Return temperatures as arguments of a loss with a single temperature."""
    return {f'{tau:g}': {'tau': tau} for tau in values}


class Tuning:
    """Trials of the group ``tuning``, with one run per grid cell.

    Args:
        trials: Finished trials.
        grids: Grid of each method.
        metric: Metric of the comparison.
    """

    def __init__(self, trials: Trials, grids: Mapping[str, Grid], metric: str) -> None:
        self.grids = grids
        self.scores = single_runs(trials, 'tuning', metric)

    def chosen(self, method: str) -> str:
        """Return the name of the best cell of a method."""
        return max(self.grids[method].cells(method), key=self.scores.__getitem__)

    def best(self, method: str) -> dict:
        """Return the loss of the best cell of a method."""
        return self.grids[method].cells(method)[self.chosen(method)]

    def table(self, label: str) -> tuple[list[str], list[list[str]]]:
        """Return columns and rows of a table with one row per method, best cell bold.

        Methods without a trial are left out, and the best cell of a method is known
        when it has all of its trials.

        Args:
            label: Name of the metric.
        """
        rows = []
        for method, grid in self.grids.items():
            cells, row = grid.cells(method), [method]
            if not self.scores.keys() & cells.keys():
                continue
            complete = self.scores.keys() >= cells.keys()
            chosen = self.chosen(method) if complete else None
            for (tau, weight), name in zip(
                product(grid.taus, grid.weights), cells, strict=True
            ):
                score = f'{self.scores[name]:.2f}' if name in self.scores else NONE
                score = f'**{score}**' if name == chosen else score
                row.append(f'{tau}, {weight:g}: {score}')
            rows.append(row)
        columns = max(map(len, rows), default=1) - 1
        return ['method', *[f'tau, weight: {label}'] * columns], rows


def single_runs(trials: Trials, group: str, metric: str) -> dict[str, float]:
    """Return the metric of each method of a group with one run per method."""
    found = trials.values(group, metric)
    return {name: value for name, runs in found.items() for (value,) in [runs.values()]}
