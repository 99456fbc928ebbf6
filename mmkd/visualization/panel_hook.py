"""Panels of validation images during a training."""

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmkd.datasets.position_seeding import random_numbers_kept
from mmkd.errors import UserError
from mmkd.registry import HOOKS

from .panel import panel_pixels
from .panel_column import panel_columns
from .panel_row import evenly_spaced, image_path, panel_rows


@HOOKS.register_module()
class PanelHook(Hook):
    """Send a panel of validation images to the visualizer's backends.

    As ``panel``, at the number of iterations done: the columns of
    :func:`panel_columns` for images at even distances through the validation data. Only
    the main process draws.

    Args:
        images: Number of images. Default 2.
        interval: Number of validations between two panels, counted from where the run
            starts or resumes. Default 1.

    Raises:
        UserError: for a number below 1, a network other than a segmentor, or a dataset
            that names no image files.

    Example:
        In a config:

        >>> custom_hooks = [dict(type='mmkd.PanelHook', images=4, interval=5)]
    """

    priority = 'ABOVE_NORMAL'  # before EMAHook puts the trained weights back

    def __init__(self, images: int = 2, interval: int = 1) -> None:
        for name, number in (('images', images), ('interval', interval)):
            if number < 1:
                raise UserError(f'PanelHook.{name}: {number} is less than 1')
        self.images = images
        self.interval = interval
        self.validations = 0

    def before_train(self, runner: Runner) -> None:
        """Check network and dataset."""
        network = _network(runner)
        if not hasattr(network, 'encode_decode'):
            raise UserError(
                f'custom_hooks: PanelHook needs a segmentor of mmseg, not a '
                f'{type(network).__name__}; remove the hook'
            )
        if runner.val_loop is not None:
            image_path(runner.val_dataloader.dataset, 0)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw."""
        self.validations += 1
        if self.validations % self.interval or not is_main_process():
            return
        networks = dict(student=_network(runner))
        teacher = getattr(runner, 'teacher', None)
        if teacher is not None:
            networks = dict(teacher=teacher.model, **networks)
        dataset = runner.val_dataloader.dataset
        with random_numbers_kept():
            indices = evenly_spaced(len(dataset), self.images)
            rows = list(panel_rows(networks, dataset, indices))
        columns = panel_columns(
            dataset.metainfo, 'student', None if teacher is None else 'teacher'
        )
        runner.visualizer.add_image('panel', panel_pixels(rows, columns), runner.iter)


def _network(runner: Runner) -> nn.Module:
    """Return the trained network: of mmkd's Runners, or of MMEngine's."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return getattr(runner, 'network', model)
