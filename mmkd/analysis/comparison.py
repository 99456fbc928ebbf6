"""Comparison of the runs of several methods and seeds."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from mmkd.distillation.teacher_config import KEY, split_teachers, without_pretraining
from mmkd.errors import UserError
from mmkd.runs.run_directory import RunDirectory, common_metric, find_runs

from .statistics import summarize

FIDELITY = 'fidelity/'  # prefix of the metrics of FidelityMetric


@dataclass
class Comparison:
    """Finished runs by method and seed.

    Args:
        runs: Runs of each method by seed; first the baseline, then the distillations,
            then others, such as the training of the teacher.
        baseline: Method with which the others are compared, if known.
        metric: Metric of the comparison.
        unfinished: Unfinished runs, which are excluded.
    """

    runs: dict[str, dict[int, RunDirectory]]
    baseline: str | None
    metric: str
    unfinished: list[RunDirectory] = field(default_factory=list)

    @property
    def names(self) -> dict[str, str]:
        """Short name of each method, for figures."""
        names = {name: name for name in self.runs}
        names |= zip(self.distillations, shorten(self.distillations), strict=True)
        return names | self.roles

    @property
    def roles(self) -> dict[str, str]:
        """``'baseline'``, or the config key of a teacher, of methods that are one."""
        baseline = {self.baseline: 'baseline'} if self.baseline else {}
        return baseline | self.teacher_methods

    @property
    def unit(self) -> str:
        """``'iteration'`` or ``'epoch'``."""
        return self.first(next(iter(self.runs))).unit

    @property
    def distillations(self) -> list[str]:
        """Names of the methods with a teacher."""
        return [name for name in self.runs if self.first(name).distills]

    @property
    def baseline_runs(self) -> dict[int, RunDirectory]:
        """Runs of the baseline, by seed; none if there is no baseline."""
        return {} if self.baseline is None else self.runs.get(self.baseline, {})

    @property
    def compared(self) -> list[str]:
        """Baseline and distillations, or all methods without any of these."""
        own = [self.baseline] if self.baseline else []
        others = [name for name in self.distillations if name != self.baseline]
        return own + others or list(self.runs)

    def first(self, method: str) -> RunDirectory:
        """Return the run of a method with the lowest seed."""
        return self.runs[method][min(self.runs[method])]

    def values(self, metric: str, best: bool = False) -> dict[str, dict[int, float]]:
        """Return a metric of all runs at the last or best validation."""

        def value(run: RunDirectory) -> float:
            _, values = run.curve(metric)
            return float(np.fmax.reduce(values) if best else values[-1])

        return {
            method: {seed: value(run) for seed, run in runs.items()}
            for method, runs in self.runs.items()
        }

    def summary(self) -> list[dict[str, Any]]:
        """Return means, deviations and paired differences; see :func:`summarize`."""
        values = self.values(self.metric)
        rows = summarize({name: values[name] for name in self.compared}, self.baseline)
        others = {name: v for name, v in values.items() if name not in self.compared}
        return rows + summarize(others, None)

    @cached_property
    def teacher_methods(self) -> dict[str, str]:
        """Methods whose runs trained teachers, with the teachers' config keys."""
        keys: dict[Path, str] = {}
        for name in self.distillations:
            teachers = split_teachers(self.first(name).config.teacher)
            for key, teacher in teachers.items():
                with suppress(OSError, ValueError, RuntimeError):  # not a valid path
                    folder = Path(teacher.get('checkpoint', '')).parent.resolve()
                    keys.setdefault(folder, key)
        found: dict[str, str] = {}
        for name, runs in self.runs.items():
            folders = {run.path.resolve() for run in runs.values()} & set(keys)
            for key in sorted(keys[folder] for folder in folders)[:1]:
                if key not in found.values():
                    found[name] = key
        return found

    @property
    def teacher_level(self) -> float | None:
        """Metric of the teacher in its own runs, or as measured in the distillations.

        Distillations measure it on some of the images, by default the first 128; of
        several teachers, that of their common predictions.
        """
        for name, key in self.teacher_methods.items():
            if key == KEY:
                return mean(self.values(self.metric)[name].values())
        runs = [run for name in self.distillations for run in self.runs[name].values()]
        values = (run.teacher_metrics.get(self.metric) for run in runs)
        found = [value for value in values if value is not None]
        return mean(found) if found else None

    def class_differences(self) -> dict[str, dict[str, float]]:
        """Return the mean difference in IoU to the baseline, by method and class.

        IoU is the intersection over union.
        """
        found, baseline = {}, self.baseline_runs
        for method in self.compared:
            if method == self.baseline:
                continue
            pairs = [
                (run.class_iou, baseline[seed].class_iou)
                for seed, run in self.runs[method].items()
                if seed in baseline
            ]
            if pairs and all(own and own.keys() == base.keys() for own, base in pairs):
                found[method] = {
                    name: mean(own[name] - base[name] for own, base in pairs)
                    for name in pairs[0][0]
                }
        return found

    def fidelity(self) -> dict[str, dict[str, list[float]]]:
        """Return the values of each fidelity metric over the seeds, by method."""
        found = {}
        for method in self.compared:
            lasts = [run.last_metrics for run in self.runs[method].values()]
            values = {
                key.removeprefix(FIDELITY): [m[key] for m in lasts if key in m]
                for key in lasts[0]
                if key.startswith(FIDELITY)
            }
            if values:
                found[method] = values
        return found


def load_comparison(
    folders: Sequence[Path], baseline: str | None = None, metric: str | None = None
) -> Comparison:
    """Read all runs in folders and find the baseline among them.

    Args:
        folders: Run directories, or folders that contain them at any depth.
        baseline: Method to compare with. Default: the method without a teacher whose
            network is the student of the distillations.
        metric: Metric of the comparison. Default: mIoU or accuracy/top1.

    Raises:
        UserError: if there is no run, if two runs have the same method and seed, or if
            the baseline or metric does not exist.
    """
    runs: dict[str, dict[int, RunDirectory]] = {}
    unfinished = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"'{folder}' is not a folder; give the work_dir of a run")
        found = find_runs(folder)
        if not found:
            raise UserError(
                f"'{folder}': contains no run, as there is no vis_data/scalars.json of "
                'a training; give the work_dir of a run'
            )
        for run in found:
            if not run.validated:
                unfinished.append(run)
                continue
            other = runs.setdefault(run.method, {}).setdefault(run.seed, run)
            if not os.path.samefile(other.path, run.path):
                raise UserError(
                    f"'{run.path}' and '{other.path}' are both {run.method} with seed "
                    f'{run.seed}; report them separately'
                )
    if not runs:
        raise UserError(
            'no run is finished, so there is nothing to report; finish one with '
            '--resume'
        )
    if baseline is not None and baseline not in runs:
        raise UserError(
            f'--baseline {baseline}: no such method; choose from {", ".join(runs)}'
        )
    firsts = {name: next(iter(seeds.values())) for name, seeds in runs.items()}
    baseline = baseline or find_baseline(firsts)
    order = sorted(
        runs, key=lambda name: (name != baseline, not firsts[name].distills, name)
    )
    runs = {name: dict(sorted(runs[name].items())) for name in order}
    every = [run for seeds in runs.values() for run in seeds.values()]
    return Comparison(runs, baseline, common_metric(every, metric), unfinished)


def find_baseline(runs: Mapping[str, RunDirectory]) -> str | None:
    """Return the method without a teacher that trains the distillations' student.

    Args:
        runs: One run of each method.
    """
    networks = {
        name: without_pretraining(run.config.model) for name, run in runs.items()
    }
    students = [networks[name] for name, run in runs.items() if run.distills]
    for name, run in runs.items():
        if not run.distills and networks[name] in students:
            return name
    return None


def shorten(names: Sequence[str]) -> list[str]:
    """Shorten names of configs by removing the last words that all of them share.

    Example:
        >>> shorten(['kd_r50_r18_camvid', 'dkd-ls_r50_r18_camvid'])
        ['kd', 'dkd-ls']
    """
    words = [name.split('_') for name in names]
    ends = zip(*map(reversed, words), strict=False)
    shared = len(list(takewhile(lambda end: len(set(end)) == 1, ends)))
    short = ['_'.join(each[: len(each) - shared]) for each in words]
    return short if len(names) > 1 and all(short) else list(names)
