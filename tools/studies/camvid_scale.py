"""What a CamVid study trains, whatever the size of its networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grid import Grid, Tuning, flat, taus

from mmkd.analysis.trials import Trial, Trials

METRIC = 'mIoU'
TUNING_SEED = 10
# The last sixth of each of the three films of the training set: for tuning.
HELD_OUT = [*range(52, 62), *range(146, 163), *range(333, 367)]
TUNING = {
    'train_dataloader.dataset.indices': [i for i in range(367) if i not in HELD_OUT],
    'val_dataloader.dataset.indices': HELD_OUT,
    'val_dataloader.dataset.data_prefix.img_path': 'train',
    'val_dataloader.dataset.data_prefix.seg_map_path': 'trainannot',
}

KD, LS = dict(type='mmkd.KDLoss'), dict(standardize=True)
BDD = dict(KD, divergence='mmkd.BalancedKL')
LEVELLED = dict(BDD, **LS, effective_tau=True, balance_classes=True)
CWD = dict(type='mmkd.CWDLoss')
BESIDE = dict(beside=dict(CWD, tau=0.5, loss_weight=3.0))
DKD = dict(type='mmkd.DKDLoss', beta=1.0)
MAIN = 'levelled, and CWD'  # the main recipe
LOW, HIGH = taus(0.25, 0.5, 1.0), taus(0.5, 1.0, 2.0)
GRIDS = {
    'KD': Grid(KD, HIGH, (1.0, 4.0)),
    'KD+LS': Grid(dict(KD, **LS), LOW, (4.0, 16.0)),
    'BDD': Grid(BDD, HIGH, (0.5, 2.0)),
    'BDD+LS': Grid(dict(BDD, **LS), LOW, (2.0, 8.0)),
    'BDD+LS, levelled': Grid(LEVELLED, LOW, (1.0, 4.0)),
    MAIN: Grid(dict(LEVELLED, **BESIDE), LOW, (1.0, 4.0)),
    'DKD+LS': Grid(dict(DKD, **LS), LOW, (4.0, 16.0)),
    'CWD': Grid(CWD, taus(0.5, 1.0, 4.0), (3.0, 12.0)),
    'DIST': Grid(dict(type='mmkd.DISTLoss'), HIGH, (1.0, 4.0)),
}


def length_options(length: int) -> dict:
    """How long to train."""
    return {
        'train_cfg.max_iters': length,
        'train_cfg.val_interval': length,
        'param_scheduler.1.end': length,
    }


@dataclass(frozen=True)
class Scale:
    """Networks and lengths with which the methods are compared.

    Args:
        name: Of the folder of its configs, and of its trainings.
        teacher: What the teacher is called.
        length: Iterations of a student.
        tuning_length: The same in tuning.
        seeds: Of the comparison.
    """

    name: str
    teacher: str
    length: int
    tuning_length: int
    seeds: range

    @property
    def work(self) -> Path:
        """Where the trainings are."""
        return Path('work_dirs/studies', self.name)

    def config(self, name: str) -> str:
        """Path of one of its configs."""
        return f'configs/studies/{self.name}/{name}.py'

    @property
    def short(self) -> dict:
        """What makes of a training one in tuning."""
        return TUNING | length_options(self.tuning_length)

    def trained(
        self, name: str, options: Mapping | None = None, config: str = 'teacher'
    ) -> Trial:
        """A teacher's training."""
        return Trial('teachers', name, 0, self.config(config), options or {})

    def teacher_of(self, group: str) -> Trial:
        """Outside of the comparison one that has not seen what is held out."""
        if group == 'methods':
            return self.trained(self.teacher)
        return self.trained(f'{self.teacher}_tuning', TUNING)

    def teachers(self, trials: Trials) -> list[Trial]:
        """Those that the students learn from."""
        return [self.teacher_of('methods'), self.teacher_of('tuning')]

    def alone(
        self,
        group: str,
        seed: int,
        options: Mapping | None = None,
        name: str = 'alone',
    ) -> Trial:
        """The student without a teacher."""
        return Trial(group, name, seed, self.config('student'), options or {})

    def distilled(
        self,
        group: str,
        name: str,
        seed: int,
        loss: Mapping,
        length: int,
        options: Mapping | None = None,
        config: str | None = None,
        teacher: Trial | None = None,
    ) -> Trial:
        """A distillation; a standardised loss is warmed up over its first quarter."""
        loss = dict(loss)
        losses = {'loss': loss}
        if 'beside' in loss:
            losses['loss_beside'] = loss.pop('beside')
        if loss.get('standardize') and not loss.get('effective_tau'):
            loss.setdefault('schedule', dict(warmup=length // 4))
        teacher = teacher or self.teacher_of(group)
        checkpoint = teacher.run(self.work).checkpoint
        every = {'model.teacher.checkpoint': str(checkpoint), **(options or {})}
        every |= flat(losses, 'model.distill_losses')
        return Trial(group, name, seed, config or self.config('distilled'), every)

    def tuning(self, trials: Trials) -> list[Trial]:
        """Six settings of each method, on what is held out of the training set."""
        length, options = self.tuning_length, self.short
        return [self.alone('tuning', TUNING_SEED, options)] + [
            self.distilled('tuning', name, TUNING_SEED, loss, length, options)
            for method, grid in GRIDS.items()
            for name, loss in grid.cells(method).items()
        ]

    def methods(self, trials: Trials) -> list[Trial]:
        """The comparison: each method at its best setting, on the validation set."""
        tuned = Tuning(trials, GRIDS, METRIC)
        losses = {method: tuned.best(method) for method in GRIDS}
        return [
            trial
            for seed in self.seeds
            for trial in (
                self.alone('methods', seed),
                *(
                    self.distilled('methods', method, seed, loss, self.length)
                    for method, loss in losses.items()
                ),
            )
        ]
