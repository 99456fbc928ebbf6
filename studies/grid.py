"""The settings that a study tries of each method, and the best of them."""

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

from studies.trials import Trials


class Grid(NamedTuple):
    """A loss, and what is tried of it: each temperature with each weight.

    Args:
        loss: Config of what stays.
        taus: Arguments that set a temperature, by what it is called.
        weights: Of the loss.
    """

    loss: Mapping
    taus: Mapping[str, Mapping]
    weights: tuple[float, ...]

    def cells(self, method: str) -> dict[str, dict]:
        """The loss of each cell, by the name of its trial."""
        return {
            f'{method}, tau {tau}, weight {weight:g}': dict(
                self.loss, **setting, loss_weight=weight
            )
            for (tau, setting), weight in product(self.taus.items(), self.weights)
        }


def taus(*values: float) -> dict[str, dict]:
    """Temperatures of a loss that has one."""
    return {f'{tau:g}': {'tau': tau} for tau in values}


class Tuning:
    """A study's trials of the group ``tuning``: one run a cell.

    Args:
        trials: Those that are done.
        grids: Of each method.
        metric: What a run is judged by.
    """

    def __init__(self, trials: Trials, grids: Mapping[str, Grid], metric: str) -> None:
        self.grids = grids
        self.scores = only_runs(trials, 'tuning', metric)

    def chosen(self, method: str) -> str:
        """Name of the best cell of a method."""
        return max(self.grids[method].cells(method), key=self.scores.__getitem__)

    def best(self, method: str) -> dict:
        """Its loss."""
        return self.grids[method].cells(method)[self.chosen(method)]

    def table(self, label: str) -> tuple[list[str], list[list[str]]]:
        """Columns and rows: a row a method, its grid, the best one bold.

        Args:
            label: What the metric is called.
        """
        rows = []
        for method, grid in self.grids.items():
            chosen, row = self.chosen(method), [method]
            for (tau, weight), name in zip(
                product(grid.taus, grid.weights), grid.cells(method), strict=True
            ):
                score = f'{self.scores[name]:.2f}'
                score = f'**{score}**' if name == chosen else score
                row.append(f'{tau}, {weight:g}: {score}')
            rows.append(row)
        columns = len(rows[0]) - 1
        return ['method', *[f'tau, weight: {label}'] * columns], rows


def only_runs(trials: Trials, group: str, metric: str) -> dict[str, float]:
    """The metric of each trial of a group that has one run of each."""
    found = trials.values(group, metric)
    return {name: value for name, runs in found.items() for (value,) in [runs.values()]}
