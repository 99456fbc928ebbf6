"""Protocol of both CamVid studies: methods, settings, lengths and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from mmkd.errors import UserError

from .grid import Grid, single_runs, taus
from .plan import TUNING_SEED, Plan
from .trials import Trial, Trials

METRIC = 'mIoU'
# Held-out images for tuning: the last sixth of each of the three training sequences.
HELD_OUT = [*range(52, 62), *range(146, 163), *range(333, 367)]
TUNING = {
    'train_dataloader.dataset.indices': [i for i in range(367) if i not in HELD_OUT],
    'val_dataloader.dataset.indices': HELD_OUT,
    'val_dataloader.dataset.data_prefix.img_path': 'train',
    'val_dataloader.dataset.data_prefix.seg_map_path': 'trainannot',
}

BASELINE = 'baseline'
UNWEIGHTED = 'baseline, no class weights'
# Median frequency balancing (SegNet, arXiv 1511.00561, section 3.2) of the training
# images: the median of the frequencies, divided by each of them. The frequency of a
# class is its share of the pixels of those images that contain it.
MEDIAN_FREQUENCY = (
    *(0.2793, 0.2017, 4.7865, 0.1490, 1.0000, 0.4217),
    *(3.8467, 1.9736, 0.7889, 6.3747, 8.8587),
)
POWERS = 0.25, 0.5, 0.75, 1.0  # of these weights
# A suitable pair: twice the largest length changes the baseline by less than this, and
# the teacher is at least so much above it.
LIMIT, GAP = 1.5, 6.0  # mIoU
KD = dict(type='KDLoss')
BDD = dict(KD, divergence='BalancedKL')
LS = dict(standardize=True)
WARMUP = dict(schedule=dict(warmup=0.05))  # of the run, as in the method files
SC_CB = dict(LS, scale_compensated=True, class_balanced=True)
CB = dict(class_balanced=True)
ABKD = dict(KD, divergence=dict(type='AlphaBeta', alpha=0.8, beta=0.3))
CORRECTED = dict(KD, teacher_correction=dict(type='TeacherCorrection'))
FEATURE_MSE = dict(type='FeatureMSELoss', adapter='conv')
# Methods of every comparison; the best others in tuning are added.
ALWAYS, OTHERS = ('KD', 'BDD+LS'), 2
# Additional seeds of the baseline and the best methods at the largest length.
MORE_SEEDS, BEST = range(3, 5), 2
LOW, HIGH, NONE = taus(0.25, 0.5), taus(0.5, 1.0), {'-': {}}
GRIDS = {
    'KD': Grid(KD, HIGH, (1.0, 4.0)),
    'KD, CB': Grid(KD | CB, HIGH, (1.0, 4.0)),
    'KD+LS': Grid(KD | LS | WARMUP, LOW, (4.0, 16.0)),
    'BDD': Grid(BDD, HIGH, (0.5, 2.0)),
    'BDD+LS': Grid(BDD | LS | WARMUP, LOW, (2.0, 8.0)),
    'BDD+LS, SC, CB': Grid(BDD | SC_CB, LOW, (1.0, 4.0)),
    'ABKD': Grid(ABKD, HIGH, (1.0, 4.0)),
    'KD, corrected': Grid(CORRECTED, HIGH, (1.0, 4.0)),
    'CWD': Grid(dict(type='CWDLoss'), HIGH, (3.0, 12.0)),
    'DIST': Grid(dict(type='DISTLoss'), taus(1.0, 2.0), (1.0, 4.0)),
    'FeatureMSE': Grid(FEATURE_MSE, NONE, (1.0, 3.0, 10.0, 30.0)),
    'KD + FeatureMSE': Grid(KD | dict(added='FeatureMSE'), HIGH, (1.0, 4.0)),
    'KD, CB + CWD': Grid(KD | CB | dict(added='CWD'), HIGH, (1.0, 4.0)),
    'BDD+LS, SC, CB + CWD': Grid(BDD | SC_CB | dict(added='CWD'), LOW, (1.0, 4.0)),
}


def length_options(length: int) -> dict:
    """Return the options for a number of iterations."""
    return {
        'train_cfg.max_iters': length,
        'train_cfg.val_interval': length,
        'param_scheduler.1.end': length,
    }


def class_weights(power: float) -> dict[str, list[float]]:
    """Return the option for class weights in the cross entropy.

    Args:
        power: Exponent of the weights; a lower one balances less.
    """
    weights = [round(weight**power, 4) for weight in MEDIAN_FREQUENCY]
    return {'model.decode_head.loss_decode.class_weight': weights}


TIMED = length_options(120) | {'val_dataloader.dataset.indices': 8}


def timed(trials: Sequence[Trial]) -> list[Trial]:
    """Return five short trainings of each trial, to measure the time of an iteration.

    Nothing else may run beside them.
    """
    return [
        replace(trial, group='times', seed=seed, options=trial.options | TIMED)
        for seed in range(5)
        for trial in trials
    ]


def group_of(length: int) -> str:
    """Return the group of the comparison's trials of a length."""
    return f'{length} iterations'


@dataclass(frozen=True)
class CamVidPlan(Plan):
    """Plan of a CamVid study.

    All students have class weights in their cross entropy: the best ones of a baseline.

    Args:
        lengths: Numbers of iterations of a student, ascending; tuning has the middle
            one. The baseline is also trained twice as long.
        untimed_config: Name of the config of distillations whose time is not measured,
            in the study's folder. That of the others is ``'distilled'``.
    """

    lengths: tuple[int, int, int]
    untimed_config: str = 'distilled'

    @property
    def all_lengths(self) -> list[int]:
        """Numbers of iterations of the baseline."""
        return sorted({each * n for each in self.lengths for n in (1, 2)})

    @property
    def longest(self) -> str:
        """Group of the trials of the largest length."""
        return group_of(self.lengths[-1])

    def teachers(self, trials: Trials) -> list[Trial]:
        """Return the training of the teacher, without the held-out images."""
        return [self.teacher]

    def losses(self, loss: Mapping, options: Mapping) -> dict[str, dict]:
        """Return one or two losses.

        A loss with ``added`` has a second one: that of another method with its best
        setting.
        """
        loss = dict(loss)
        losses = {'loss': loss}
        if 'added' in loss:
            losses['loss_added'] = self.tuned(self.trials).best(loss.pop('added'))
        return losses

    def weighting(self, trials: Trials) -> list[Trial]:
        """Return baselines with class weights to several powers, on held-out data."""
        return [
            self.baseline(
                'weighting', TUNING_SEED, {**self.held_out, **class_weights(p)}, f'{p}'
            )
            for p in POWERS
        ]

    def weights(self, trials: Trials) -> dict[str, list[float]]:
        """Return the option for the class weights of all students."""
        found = single_runs(trials, 'weighting', self.metric)
        return class_weights(max(POWERS, key=lambda power: found[f'{power}']))

    def pair(self, trials: Trials) -> list[Trial]:
        """Return longer baselines than those of the tuning, on held-out data.

        One is twice as long as the tuning, in about the time of a distillation. Those
        of the largest length and twice as long show, together with the teacher, if the
        pair and the lengths are suitable.
        """
        return [
            self.baseline(
                'pair',
                TUNING_SEED,
                TUNING | length_options(n) | self.weights(trials),
                f'{n}',
            )
            for n in (2 * self.lengths[1], self.lengths[-1], 2 * self.lengths[-1])
        ]

    def check_pair(self, trials: Trials) -> None:
        """Check the largest length and the teacher, on held-out data.

        Raises:
            UserError: if the baseline improves too much with twice the length, or is
                too near to the teacher.
        """
        found = single_runs(trials, 'pair', METRIC)
        short, long = (found[str(n * self.lengths[-1])] for n in (1, 2))
        if abs(long - short) >= LIMIT:
            raise UserError(
                f'lengths: twice the largest one changes the baseline from {short:.2f} '
                f'to {long:.2f} {METRIC}, by {LIMIT} or more; double them'
            )
        teacher = trials.values('teachers', METRIC)['teacher'][0]
        if teacher - short < GAP:
            raise UserError(
                f'teacher: {teacher:.2f} {METRIC} are less than {GAP} above the '
                f"baseline's {short:.2f}; train it longer, or choose a smaller student"
            )

    def tuning(self, trials: Trials) -> list[Trial]:
        """Return the trials of tuning of all methods with a single loss.

        Raises:
            UserError: if :meth:`check_pair` fails.
        """
        self.check_pair(trials)
        return self.tuning_of(trials, combined=False)

    def combined(self, trials: Trials) -> list[Trial]:
        """Return the trials of tuning of the methods with a second loss."""
        return self.tuning_of(trials, combined=True)

    def tuning_of(self, trials: Trials, combined: bool) -> list[Trial]:
        """Return the trials of tuning of the methods with or without second loss."""
        options = {**self.held_out, **self.weights(trials)}
        return [
            self.distill(
                'tuning', name, TUNING_SEED, loss, options, config=self.untimed_config
            )
            for method, grid in self.grids.items()
            if ('added' in grid.loss) == combined
            for name, loss in grid.cells(method).items()
        ]

    def chosen(self, trials: Trials) -> list[str]:
        """Return the compared methods: KD, BDD+LS and the best others in tuning."""
        tuned = self.tuned(trials)

        def score(method: str) -> float:
            return tuned.scores[tuned.chosen(method)]

        others = [method for method in self.grids if method not in ALWAYS]
        best = sorted(others, key=score, reverse=True)[:OTHERS]
        return [m for m in self.grids if m in ALWAYS or m in best]

    def weighted(
        self, trials: Trials, lengths: Sequence[int], seed: int
    ) -> list[Trial]:
        """Return weighted baselines of a seed, one for each length."""
        weights = self.weights(trials)
        return [
            self.baseline(group_of(n), seed, length_options(n) | weights)
            for n in lengths
        ]

    def distilled(
        self,
        trials: Trials,
        length: int,
        seed: int,
        methods: Sequence[str],
        config: str | None = None,
    ) -> list[Trial]:
        """Return distillations of a length and a seed, with the best settings.

        Args:
            trials: Finished trials.
            length: Number of iterations.
            seed: Seed of the trials.
            methods: Names of the methods.
            config: Name of the config. Default: :attr:`untimed_config`.
        """
        tuned, config = self.tuned(trials), config or self.untimed_config
        options = length_options(length) | self.weights(trials)
        return [
            self.distill(
                group_of(length), name, seed, tuned.best(name), options, config=config
            )
            for name in methods
        ]

    def unweighted(self, trials: Trials, seed: int) -> Trial:
        """Return the baseline without class weights, of the tuned length."""
        length = self.lengths[1]
        return self.baseline(group_of(length), seed, length_options(length), UNWEIGHTED)

    def times(self, trials: Trials) -> list[Trial]:
        """Return the trainings that measure the time of an iteration."""
        length = self.lengths[1]
        return timed(
            [
                *self.weighted(trials, [length], 0),
                self.unweighted(trials, 0),
                *self.distilled(trials, length, 0, self.chosen(trials), 'distilled'),
            ]
        )

    def baselines(self, trials: Trials) -> list[Trial]:
        """Return the baselines of the comparison."""
        return [
            trial
            for seed in self.seeds
            for trial in (
                self.unweighted(trials, seed),
                *self.weighted(trials, self.all_lengths, seed),
            )
        ]

    def methods(self, trials: Trials) -> list[Trial]:
        """Return the distillations of the comparison, first of the tuned length.

        Those of a seed are not beside each other, so that the first one has written the
        teacher's outputs when the next one needs them.
        """
        short, middle, long = self.lengths
        return [
            trial
            for length in (middle, long, short)
            for method in self.chosen(trials)
            for seed in self.seeds
            for trial in self.distilled(trials, length, seed, [method])
        ]

    def more(self, trials: Trials) -> list[Trial]:
        """Return the trials of the additional seeds."""
        long, best = self.lengths[-1], self.ranked(trials)[:BEST]
        return [
            trial
            for seed in MORE_SEEDS
            for trial in (
                *self.weighted(trials, [long, 2 * long], seed),
                *self.distilled(trials, long, seed, best),
            )
        ]

    def checked_methods(self, trials: Trials) -> list[str]:
        """Return the methods of further comparisons: KD, and the best other one."""
        return ['KD', next(m for m in self.ranked(trials) if m != 'KD')]

    def ranked(self, trials: Trials) -> list[str]:
        """Return the compared methods, the best one at the largest length first.

        Their mean is over the common seeds.
        """
        values = trials.values(self.longest, self.metric)

        def score(method: str) -> float:
            return mean(values[method][seed] for seed in self.seeds)

        return sorted(self.chosen(trials), key=score, reverse=True)


def camvid_plan(
    name: str,
    teacher_length: int,
    lengths: tuple[int, int, int],
    grids: Mapping[str, Grid] = GRIDS,
    kind: type[CamVidPlan] = CamVidPlan,
    untimed_config: str = 'distilled',
) -> CamVidPlan:
    """Return the plan for the networks of a study's folder.

    Args:
        name: Name of the folder.
        teacher_length: Number of iterations of the teacher, which is trained without
            the held-out images, so that the tuning and the comparison have the same.
        lengths: See :class:`CamVidPlan`.
        grids: Grid of each method. Default: two temperatures and two weights, or four
            weights.
        kind: Class of the plan.
        untimed_config: See :class:`CamVidPlan`.
    """
    folder = Path('studies', name)
    options = TUNING | length_options(teacher_length)
    teacher = Trial('teachers', 'teacher', 0, str(folder / 'teacher.py'), options)
    return kind(
        folder,
        str(folder / 'student.py'),
        teacher,
        teacher,
        grids,
        METRIC,
        TUNING | length_options(lengths[1]),
        range(3),
        lengths,
        untimed_config,
    )
