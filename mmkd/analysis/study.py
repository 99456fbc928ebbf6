"""Runs of several methods and seeds, sorted by what they are in a comparison."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from mmengine.config import Config

from mmkd.engine.runs import METRICS
from mmkd.errors import UserError

from .history import History, find_histories
from .statistics import summarize

FIDELITY = 'fidelity/'  # before the names of its metrics
STARTS = ('pretrained', 'init_cfg')  # where weights come from makes no other network


@dataclass
class Study:
    """Finished runs, by method and seed.

    Args:
        runs: The histories of each method, by seed; first the baseline, then the
            distillations, then what else there is, such as the teacher's training.
        baseline: The method that the others are compared with, if one is known.
        metric: What they are compared by.
        unfinished: Runs that are left out.
    """

    runs: dict[str, dict[int, History]]
    baseline: str | None
    metric: str
    unfinished: list[History] = field(default_factory=list)

    @property
    def names(self) -> dict[str, str]:
        """What to call each method in a figure."""
        special = {self.baseline: 'alone', self.teacher_method: 'teacher'}
        short = shorten(list(self.runs))
        pairs = zip(self.runs, short, strict=True)
        return {method: special.get(method, name) for method, name in pairs}

    @property
    def unit(self) -> str:
        """What the runs count: iterations or epochs."""
        return next(iter(next(iter(self.runs.values())).values())).unit

    @property
    def distillations(self) -> list[str]:
        """The methods that have a teacher."""
        return [name for name in self.runs if self.first(name).distilled]

    @property
    def compared(self) -> list[str]:
        """The baseline and the distillations, which a figure of methods shows."""
        own = [self.baseline] if self.baseline else []
        others = [name for name in self.distillations if name != self.baseline]
        return own + others or list(self.runs)

    def first(self, method: str) -> History:
        """The run of a method's lowest seed."""
        return self.runs[method][min(self.runs[method])]

    def values(self, metric: str, best: bool = False) -> dict[str, dict[int, float]]:
        """A metric of each method and seed at the last validation, or the best one."""
        return {
            method: {
                seed: run.best(metric) if best else run.last[metric]
                for seed, run in runs.items()
            }
            for method, runs in self.runs.items()
        }

    def summary(self) -> list[dict[str, object]]:
        """Mean, spread and paired difference: see :func:`summarize`."""
        values = self.values(self.metric)
        rows = summarize({name: values[name] for name in self.compared}, self.baseline)
        others = {name: v for name, v in values.items() if name not in self.compared}
        return rows + summarize(others, None)

    @property
    def teacher_method(self) -> str | None:
        """The method whose runs have trained the teacher, if they are there."""
        folders = {
            Path(self.first(name).config.model.teacher.get('checkpoint', '')).parent
            for name in self.distillations
        }
        for name, runs in self.runs.items():
            if any(
                run.folder.resolve() in map(Path.resolve, folders)
                for run in runs.values()
            ):
                return name
        return None

    @property
    def teacher_level(self) -> float | None:
        """The teacher's metric: of its own runs, or as the distillations measured it.

        They look at some of the images only, the first 128 unless told otherwise.
        """
        if self.teacher_method:
            return mean(self.values(self.metric)[self.teacher_method].values())
        runs = [run for name in self.distillations for run in self.runs[name].values()]
        found = [run.teacher[self.metric] for run in runs if self.metric in run.teacher]
        return mean(found) if found else None

    def class_differences(self) -> dict[str, dict[str, float]]:
        """The mean difference of each class's IoU to the baseline, by method."""
        found = {}
        for method in self.compared:
            if method == self.baseline or self.baseline is None:
                continue
            pairs = [
                (run.classes, self.runs[self.baseline][seed].classes)
                for seed, run in self.runs[method].items()
                if seed in self.runs[self.baseline]
            ]
            if pairs and all(own and own.keys() == base.keys() for own, base in pairs):
                found[method] = {
                    name: mean(own[name] - base[name] for own, base in pairs)
                    for name in pairs[0][0]
                }
        return found

    def fidelity(self) -> dict[str, dict[str, list[float]]]:
        """The values of each fidelity metric over the seeds, by method."""
        found = {}
        for method in self.compared:
            lasts = [run.last for run in self.runs[method].values()]
            keys = [key for key in lasts[0] if key.startswith(FIDELITY)]
            if keys:
                found[method] = {
                    key.removeprefix(FIDELITY): [
                        last[key] for last in lasts if key in last
                    ]
                    for key in keys
                }
        return found


def gather(
    folders: Sequence[Path], baseline: str | None = None, metric: str | None = None
) -> Study:
    """Reads all runs in some folders and finds the lone student among them.

    Args:
        folders: Of runs, or of folders of them.
        baseline: The method to compare with. Default: the one whose network is the
            distillations' student and that has no teacher.
        metric: Default: mIoU or accuracy/top1, whichever there is.

    Raises:
        UserError: if there is no run, if two are the same method and seed, or if there
            is no such baseline or metric.
    """
    runs: dict[str, dict[int, History]] = {}
    unfinished = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"'{folder}' is no folder")
        found = find_histories(folder)
        if not found:
            raise UserError(
                f"'{folder}': no run here or below it, for there is no "
                'vis_data/scalars.json of a training'
            )
        for history in found:
            if not history.finished:
                unfinished.append(history)
                continue
            same = runs.setdefault(history.method, {})
            other = same.setdefault(history.seed, history)
            if not os.path.samefile(other.folder, history.folder):
                raise UserError(
                    f"'{history.folder}' and '{other.folder}' are both "
                    f'{history.method} with seed {history.seed}; report them apart'
                )
    if not runs:
        raise UserError('no run has come to its end yet: there is nothing to report')
    if baseline is not None and baseline not in runs:
        raise UserError(f'--baseline {baseline}: there is {", ".join(runs)}')
    if baseline is None:
        baseline = lone_student(runs)
    kinds = {name: next(iter(same.values())).distilled for name, same in runs.items()}
    order = sorted(runs, key=lambda name: (name != baseline, not kinds[name], name))
    ordered = {name: dict(sorted(runs[name].items())) for name in order}
    every = [run for same in ordered.values() for run in same.values()]
    return Study(ordered, baseline, choose(metric, every), unfinished)


def choose(metric: str | None, runs: Sequence[History]) -> str:
    """The metric to compare runs by.

    Raises:
        UserError: if there is none that all have.
    """
    shared = set.intersection(*(set(run.last) for run in runs))
    wanted = [metric] if metric else METRICS
    for name in wanted:
        if name in shared:
            return name
    found = ', '.join(sorted(shared)) or 'none'
    raise UserError(
        f'--metric: not all runs have {" or ".join(wanted)}; what they share: {found}'
    )


def lone_student(runs: dict[str, dict[int, History]]) -> str | None:
    """The method without a teacher whose network is the distillations' student."""
    firsts = {name: next(iter(same.values())) for name, same in runs.items()}
    students = [
        network(run.config.model.student) for run in firsts.values() if run.distilled
    ]
    for name, run in firsts.items():
        if not run.distilled and network(run.config.model) in students:
            return name
    return None


def network(model: Config) -> dict:
    """A model's config without where its weights come from."""
    return {
        key: network(value) if isinstance(value, dict) else value
        for key, value in model.items()
        if key not in STARTS
    }


def shorten(names: Sequence[str]) -> list[str]:
    """Names of configs without the words at the end that most of them share.

    Example:
        >>> shorten(['r18_camvid', 'kd_r50_r18_camvid', 'lskd_r50_r18_camvid'])
        ['r18_camvid', 'kd', 'lskd']
        >>> shorten(['student', 'teacher'])
        ['student', 'teacher']
    """
    words = [name.split('_') for name in names]
    lengths = [
        max((shared_end(a, b) for j, b in enumerate(words) if j != i), default=0)
        for i, a in enumerate(words)
    ]
    short = [
        '_'.join(a[: len(a) - n] if n < len(a) else a)
        for a, n in zip(words, lengths, strict=True)
    ]
    return short if len(set(short)) == len(short) else list(names)


def shared_end(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words at the end of two names are the same."""
    pairs = list(zip(reversed(first), reversed(second), strict=False))
    return next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
