"""Trainings of the street-scenes study, with the settings of the CamVid study."""

from pathlib import Path

from studies.camvid.plan import PLAN as CAMVID
from studies.camvid_plan import BASELINE, length_options, timed
from studies.plan import flatten
from studies.trials import Trial, Trials, checkpoint_of

FOLDER = Path('studies/street_scenes')
WORK_DIR = Path('work_dirs/studies/street_scenes')
SCENES = 'clear', 'noisy'
TWICE = 'baseline, twice as long'
LENGTH = 1600
SEEDS = range(3)


def options(scenes: str, length: int) -> dict:
    """Return the options for scenes of a difficulty and a number of iterations."""
    root = f'data/street_scenes_{scenes}'
    return length_options(length) | {
        f'{split}_dataloader.dataset.data_root': root for split in ('train', 'val')
    }


def train(scenes: str, name: str, config: str, length: int, seed: int = 0) -> Trial:
    """Return a training without a teacher."""
    path = str(FOLDER / f'{config}.py')
    return Trial(scenes, name, seed, path, options(scenes, length))


def distill(scenes: str, method: str, seed: int, config: str) -> Trial:
    """Return a distillation with the setting of the CamVid study."""
    teacher = teacher_of(scenes)
    losses = CAMVID.losses(CAMVID.tuned(CAMVID.trials).best(method), {})
    checkpoint = checkpoint_of(teacher, WORK_DIR)
    every = options(scenes, LENGTH) | {'teacher.checkpoint': checkpoint}
    every |= flatten(losses, 'distill_losses')
    return Trial(scenes, method, seed, str(FOLDER / f'{config}.py'), every, teacher)


def teacher_of(scenes: str) -> Trial:
    """Return the training of a teacher."""
    return train(scenes, 'teacher', 'teacher', LENGTH)


def teachers(trials: Trials) -> list[Trial]:
    """Return the trainings of the teachers."""
    return [teacher_of(scenes) for scenes in SCENES]


def baselines(trials: Trials) -> list[Trial]:
    """Return the trainings of the baseline, also for twice the length."""
    return [
        train(scenes, name, 'student', length, seed)
        for seed in SEEDS
        for scenes in SCENES
        for name, length in ((BASELINE, LENGTH), (TWICE, 2 * LENGTH))
    ]


def methods(trials: Trials) -> list[Trial]:
    """Return the distillations with the methods that the CamVid study compares.

    Those of a seed share the teacher's outputs.
    """
    return [
        distill(scenes, method, seed, 'shared')
        for method in CAMVID.chosen(CAMVID.trials)
        for scenes in SCENES
        for seed in SEEDS
    ]


def times(trials: Trials) -> list[Trial]:
    """Return the trainings that measure the time of an iteration."""
    scenes, compared = SCENES[0], CAMVID.chosen(CAMVID.trials)
    found = [distill(scenes, method, 0, 'distilled') for method in compared]
    return timed([train(scenes, BASELINE, 'student', LENGTH), *found])


STAGES = teachers, baselines, methods, times
