"""Wrong data ends a run with its name, or is left out of it."""

from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmkd.datasets.checked import CheckedDataset
from mmkd.datasets.wrapping import with_dataset
from mmkd.errors import UserError
from mmkd.registry import HOOKS


@HOOKS.register_module()
class CheckDataHook(Hook):
    """Puts a :class:`CheckedDataset` around the data of training, validation and test.

    A top-level ``skip_corrupt = True`` in the config leaves corrupt files out of the
    training; each is logged, and at the end their number. It stands beside
    ``load_from`` and ``resume`` since it is about the run at hand, and one
    ``--cfg-options`` gets a run past a bad file. A metric is always one of all images.
    """

    priority = 'HIGHEST'  # before PositionSeedHook

    def before_train(self, runner: Runner) -> None:
        """Wraps the data of training and validation; compares numbers of classes."""
        loop = runner.train_loop
        key, head = find_head(runner.model)
        classes = getattr(head, 'num_classes', None)
        check_number(key, classes, loop.dataloader.dataset)
        self.dataset = CheckedDataset(
            loop.dataloader.dataset,
            classes,
            getattr(head, 'ignore_index', 255),
            bool(runner.cfg.get('skip_corrupt')),
        )
        loop.dataloader = with_dataset(loop.dataloader, self.dataset)
        if runner.val_loop is not None:
            check_loop(runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Wraps the data of the test."""
        check_loop(runner.test_loop)

    def after_train(self, runner: Runner) -> None:
        """Counts what was left out, on all processes."""
        if not self.dataset.skip:
            return
        skipped = self.dataset.skipped.int()
        all_reduce(skipped, op='max')
        runner.logger.info(
            f'skip_corrupt: {int(skipped.sum())} of {len(skipped)} training samples '
            'were skipped'
        )


def check_loop(loop: object) -> None:
    """Wraps the data of a loop that evaluates."""
    loader = loop.dataloader
    loop.dataloader = with_dataset(loader, CheckedDataset(loader.dataset))


def find_head(model: nn.Module) -> tuple[str, nn.Module | None]:
    """The student's segmentation head and where the config describes it."""
    key = 'model'
    if is_model_wrapper(model):
        model = model.module
    if hasattr(model, 'distill_losses'):
        key, model = 'model.student', model.student
    key, head = f'{key}.decode_head', getattr(model, 'decode_head', None)
    if isinstance(head, nn.ModuleList):  # a cascade
        key, head = f'{key}.{len(head) - 1}', head[-1]
    return key, head


def check_number(key: str, classes: int | None, dataset: object) -> None:
    """Raises a UserError where a network has fewer classes than its data set."""
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    if classes is not None and classes < len(names):
        raise UserError(
            f'{key}.num_classes: {classes}, but train_dataloader.dataset has '
            f'{len(names)} classes; set it to {len(names)}, also in auxiliary_head, or '
            'choose among the classes with the metainfo of the data sets'
        )
