"""Collate function for several views of each image."""

from collections.abc import Sequence

from mmengine.dataset import pseudo_collate

from mmkd.errors import UserError
from mmkd.registry import FUNCTIONS


@FUNCTIONS.register_module()
def collate_views(batch: Sequence[dict]) -> dict:
    """Collate all views into one batch: first view of each image, second, and so on.

    For networks and losses the result is a larger batch of labeled images; the cross
    entropy becomes the mean over the views. The pipeline of the dataset must end with
    MMPretrain's ``MultiView`` and ``PackInputs``. In a config:
    ``train_dataloader = dict(collate_fn=dict(type='mmkd.collate_views'), ...)``.

    Args:
        batch: ``inputs``, a list of tensors, and ``data_samples`` of each image.

    Raises:
        UserError: if ``inputs`` is not a list because the pipeline has no
            ``MultiView``.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 4, 4)
        >>> from mmengine.structures import BaseDataElement
        >>> item = dict(inputs=[image, image + 1], data_samples=BaseDataElement())
        >>> batch = collate_views([item, item])
        >>> [int(view.max()) for view in batch['inputs']]
        [0, 0, 1, 1]
    """
    if not isinstance(batch[0]['inputs'], list | tuple):
        raise UserError(
            'train_dataloader.collate_fn: mmkd.collate_views needs several views of an '
            'image; add MultiView to the pipeline, or remove collate_fn'
        )
    views = range(len(batch[0]['inputs']))
    return pseudo_collate(
        [
            dict(inputs=item['inputs'][view], data_samples=item['data_samples'].clone())
            for view in views
            for item in batch
        ]
    )
