"""Pictures of what the student makes of validation images, as it learns."""

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.datasets.position_seeding import random_numbers_kept
from mmkd.engine.runner import Runner as R
from mmkd.errors import UserError
from mmkd.registry import HOOKS
from mmkd.visualization import comparison, image_path, panel_pixels, panel_rows, spread


@HOOKS.register_module()
class PanelHook(Hook):
    """Sends a panel of validation images to the visualiser's backends.

    Image, label, the predictions of teacher and student, where they agree, where the
    student is right, and KL(teacher || student), of images at even distances through
    the validation data; as ``panel``, at the number of iterations done. Without a
    teacher, what needs one is left out. Only the main process draws, and of all
    validation images only those cost anything.

    Args:
        images: How many. Default 2.
        interval: After each how many validations, counted from where the run begins or
            resumes. Default 1.

    Raises:
        UserError: for a number below 1, a network that gives no maps, or data that
            tells no image files.

    Example:
        In a config:

        >>> custom_hooks = [dict(type='mmkd.PanelHook', images=4, interval=5)]
    """

    priority = 'ABOVE_NORMAL'  # before EMAHook takes the weights back

    def __init__(self, images: int = 2, interval: int = 1) -> None:
        for name, number in (('images', images), ('interval', interval)):
            if number < 1:
                raise UserError(f'PanelHook.{name}: at least 1 is needed, not {number}')
        self.images = images
        self.interval = interval
        self.validations = 0

    def before_train(self, runner: Runner) -> None:
        """Checks what is to be drawn."""
        model = distiller_of(runner)
        network = getattr(model, 'student', model)
        if not hasattr(network, 'encode_decode'):
            raise UserError(
                f'custom_hooks: PanelHook draws maps, and a {type(network).__name__} '
                "is none of mmseg's segmentors; leave the hook out"
            )
        if runner.val_loop is not None:
            image_path(runner.val_dataloader.dataset, 0)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draws."""
        self.validations += 1
        if self.validations % self.interval or not is_main_process():
            return
        model = distiller_of(runner)
        networks = dict(student=getattr(model, 'student', model))
        teacher = getattr(model, 'teacher', None)
        if teacher is not None:
            networks = dict(teacher=teacher.model, **networks)
        dataset = runner.val_dataloader.dataset
        with random_numbers_kept():
            indices = spread(len(dataset), self.images)
            rows = list(panel_rows(networks, dataset, indices))
        columns = comparison(
            dataset.metainfo, 'student', 'teacher' if teacher is not None else None
        )
        runner.visualizer.add_image('panel', panel_pixels(rows, columns), runner.iter)
