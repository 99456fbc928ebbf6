"""Check of a segmentation head's number of classes against the dataset."""

from torch import nn

from mmkd.errors import UserError


def segmentation_head(network: nn.Module) -> nn.Module | None:
    """Return a segmentor's decode head (the last of a cascade); None without one."""
    head = getattr(network, 'decode_head', None)
    return head[-1] if isinstance(head, nn.ModuleList) else head


def check_num_classes(network: nn.Module, dataset: object) -> None:
    """Raise a UserError if the head has fewer classes than the training dataset."""
    heads = getattr(network, 'decode_head', None)
    classes = getattr(segmentation_head(network), 'num_classes', None)
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    if classes is None or classes >= len(names):
        return
    stage = f'.{len(heads) - 1}' if isinstance(heads, nn.ModuleList) else ''
    raise UserError(
        f'model.decode_head{stage}.num_classes: {classes}, but '
        f'train_dataloader.dataset has {len(names)} classes; set it to {len(names)}, '
        'also in auxiliary_head, or select a subset of the classes with the metainfo '
        'of the datasets'
    )
