"""What a distillation needs of the Runner."""

import math
from itertools import islice
from pathlib import Path

import torch
from mmengine.dist import broadcast, get_world_size, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from mmkd.engine.student_config import standalone_student
from mmkd.errors import UserError
from mmkd.evaluation import FidelityMetric
from mmkd.registry import HOOKS


@HOOKS.register_module()
class DistillHook(Hook):
    """Guards, records and saves a distillation; every Distiller brings one along.

    * Before the first iteration: refuses a teacher of other classes or another class
      order, and a schedule that cannot work; logs the teacher's metric on some
      validation images, the cheapest guard against a wrong teacher; writes the config
      with the teacher inlined, and ``work_dir/student.py``, the plain student's.
    * With each validation: logs that metric again, as ``teacher/<metric>``, beside the
      student's. It is measured once and kept through a resume.
    * With each checkpoint: writes and reads what the losses learn, under
      ``distill_losses``, beside the plain student's ``state_dict``.

    Args:
        teacher_images: Validation images the teacher is measured on; 0 for none, -1 for
            all, which are the student's. Default 128: all of CamVid, a quarter of
            Cityscapes.
    """

    def __init__(self, teacher_images: int = 128) -> None:
        self.teacher_images = teacher_images

    def before_run(self, runner: Runner) -> None:
        """Tells the Distiller what its teacher's path is relative to."""
        if runner.cfg.filename:
            distiller_of(runner).config_folder = Path(runner.cfg.filename).parent

    def before_train(self, runner: Runner) -> None:
        """Checks what only the Runner knows; records the configs."""
        distiller = distiller_of(runner)
        check_classes(distiller.teacher.classes, runner)
        check_schedules(distiller, runner)
        for parameter in distiller.distill_losses.parameters():
            broadcast(parameter.data)
        if runner.cfg.get('model'):
            runner.cfg.model.teacher = distiller.teacher_config
            runner.visualizer.add_config(runner.cfg)
            if is_main_process():
                runner.dump_config()
                plain = standalone_student(runner.cfg)
                plain.dump(Path(runner.work_dir, 'student.py'))
        if runner.iter == 0 and runner.val_loop is not None and self.teacher_images:
            # Not to move the random numbers of the training that follows.
            with torch.random.fork_rng():
                self._log_teacher(runner, distiller)

    @torch.no_grad()
    def _log_teacher(self, runner: Runner, distiller: torch.nn.Module) -> None:
        """Logs the teacher's metric on validation images, with its own preprocessor."""
        loader = runner.val_dataloader
        every = runner.val_loop.evaluator.metrics
        # That one compares it with the student.
        evaluator = Evaluator([m for m in every if not isinstance(m, FidelityMetric)])
        if not evaluator.metrics:
            return
        total = len(loader.dataset)
        images = total if self.teacher_images < 0 else min(self.teacher_images, total)
        share = loader.batch_size * get_world_size()
        batches = math.ceil(images / share)
        images = min(batches * share, total)
        runner.logger.info(f'Measuring the teacher on {images} of {total} images ...')
        for batch in islice(loader, batches):
            outputs = distiller.teacher.model.val_step(batch)
            evaluator.process(data_samples=outputs, data_batch=batch)
        metrics = evaluator.evaluate(images)
        values = ', '.join(f'{name}: {value:.4g}' for name, value in metrics.items())
        runner.logger.info(f'Teacher on {images} of {total} images: {values}')
        scalars = {f'teacher/{name}': float(value) for name, value in metrics.items()}
        runner.visualizer.add_scalars(scalars, step=0)
        runner.message_hub.update_info('teacher_metrics', scalars)

    def before_val_epoch(self, runner: Runner) -> None:
        """Puts the teacher's metric before the student's in the validation's log."""
        scalars = runner.message_hub.get_info('teacher_metrics', {})
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f'val/{name}', value)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Puts what the losses learn beside the student."""
        state = distiller_of(runner).distill_losses.state_dict()
        if state:
            checkpoint['distill_losses'] = state

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Takes up what the losses had learnt, when resuming."""
        losses = distiller_of(runner).distill_losses
        if runner._resume and losses.state_dict():
            losses.load_state_dict(checkpoint['distill_losses'])


def distiller_of(runner: Runner) -> torch.nn.Module:
    """The Distiller, out of DDP's wrapper."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def check_classes(classes: list | None, runner: Runner) -> None:
    """Raises a UserError where checkpoint and data set name classes otherwise."""
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}
    ours = [str(name).lower() for name in metainfo.get('classes') or ()]
    theirs = [str(name).lower() for name in classes or ()]
    if not ours or not theirs or ours == theirs:
        return
    pairs = enumerate(zip(ours, theirs, strict=False))
    place = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    what = 'in another order' if sorted(ours) == sorted(theirs) else 'other classes'
    first = theirs[place] if place < len(theirs) else 'nothing'
    here = ours[place] if place < len(ours) else 'nothing'
    raise UserError(
        f'model.teacher.checkpoint: the teacher was trained on {what}: class {place} '
        f"is '{first}' for it, but '{here}' in train_dataloader.dataset; take a "
        "teacher of this data set, or set its metainfo.classes to the teacher's order"
    )


def check_schedules(distiller: torch.nn.Module, runner: Runner) -> None:
    """Raises a UserError for epochs where the run counts none."""
    if not isinstance(runner.train_loop, IterBasedTrainLoop):
        return
    for term in distiller.terms:
        own = getattr(distiller.distill_losses[term.name], 'by_epoch', False)
        if own or (term.schedule is not None and term.schedule.by_epoch):
            key = term.key if own else f'{term.key}.schedule'
            raise UserError(
                f'{key}.by_epoch: this run counts iterations, not epochs; set '
                'by_epoch=False and give iterations'
            )
