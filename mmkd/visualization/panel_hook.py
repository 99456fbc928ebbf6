"""Panels of validation images during training."""

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

    The panel is named ``panel``, with the number of completed iterations as its step.
    It has the columns of :func:`panel_columns` for evenly spaced images of the
    validation data. Only the main process draws it.

    Args:
        images: Number of images. Default 2.
        interval: Number of validations between two panels, starting from the beginning
            or resumption of the run. Default 1.

    Raises:
        UserError: for a number below 1, a network that is not a segmentor, or a dataset
            without paths of its images.

    Example:
        In a config:

        >>> custom_hooks = [dict(type='mmkd.PanelHook', images=4, interval=5)]
    """

    priority = 'ABOVE_NORMAL'  # before EMAHook restores the trained weights

    def __init__(self, images: int = 2, interval: int = 1) -> None:
        for name, number in (('images', images), ('interval', interval)):
            if number < 1:
                raise UserError(
                    f'PanelHook.{name}: must be at least 1, but is {number}'
                )
        self.images = images
        self.interval = interval
        self.validations = 0

    def before_train(self, runner: Runner) -> None:
        """Check network and dataset."""
        network = _network(runner)
        if not hasattr(network, 'encode_decode'):
            raise UserError(
                f'custom_hooks: PanelHook needs an mmseg segmentor, not a '
                f'{type(network).__name__}; remove the hook'
            )
        if runner.val_loop is not None:
            image_path(runner.val_dataloader.dataset, 0)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw the panel if it is due."""
        self.validations += 1
        if self.validations % self.interval or not is_main_process():
            return
        networks = dict(student=_network(runner))
        teacher = getattr(runner, 'teacher', None)
        if teacher is not None:
            networks = dict(teacher=teacher, **networks)
        dataset = runner.val_dataloader.dataset
        with random_numbers_kept():
            indices = evenly_spaced(len(dataset), self.images)
            rows = list(panel_rows(networks, dataset, indices))
        columns = panel_columns(
            dataset.metainfo, 'student', None if teacher is None else 'teacher'
        )
        runner.visualizer.add_image('panel', panel_pixels(rows, columns), runner.iter)


def _network(runner: Runner) -> nn.Module:
    """Return the trained network of an mmkd or MMEngine Runner."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return getattr(runner, 'network', model)
