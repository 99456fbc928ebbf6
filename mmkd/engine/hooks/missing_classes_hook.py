"""Warning about classes that never occur in the labels."""

from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.registry import HOOKS
from mmkd.runs.findings import missing_classes_finding


@HOOKS.register_module()
class MissingClassesHook(Hook):
    """Warn once if a class never occurs in an epoch of labels and pixels are ignored.

    The class may be stored as the ignored value by mistake. An epoch is a validation, a
    test or, in training by epochs or iterations, as many iterations as cover the data
    once.
    """

    def __init__(self) -> None:
        self._checked: set[str] = set()  # which of train, val and test

    def before_train(self, runner: Runner) -> None:
        """Compute the length of an epoch; a resumed run starts a new epoch."""
        loader = runner.train_dataloader
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        # The length of an infinite sampler is that of the data on all processes.
        shares = get_world_size() if isinstance(sampler, InfiniteSampler) else 1
        self.remaining = -(-len(loader) // shares)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: dict | None = None,
    ) -> None:
        """Warn at the end of the first epoch, considering all processes."""
        self.remaining -= 1
        if self.remaining:
            return
        self._warn(runner, 'train')

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Warn at the end of the first validation."""
        self._warn(runner, 'val')

    def after_test_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Warn at the end of the first test."""
        self._warn(runner, 'test')

    def _warn(self, runner: Runner, split: str) -> None:
        if split in self._checked:
            return
        self._checked.add(split)
        dataset = getattr(runner, f'{split}_dataloader').dataset
        seen = dataset.seen.int()
        all_reduce(seen, op='max')
        *classes, ignored = seen.tolist()
        names = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
        missing = [
            f"{index} '{names[index]}'" if index < len(names) else f'{index}'
            for index, found in enumerate(classes)
            if not found and index != dataset.ignore_index
        ]
        if missing and ignored:
            line = missing_classes_finding(split, missing, dataset.ignore_index)
            runner.logger.warning(line)
