"""Check of the size to which training images are padded."""

from typing import Any

from torch import nn

from mmkd.errors import UserError


def check_padding(network: nn.Module) -> None:
    """Raise a UserError if mmseg's preprocessor has no size for training batches.

    mmseg pads them to ``size`` or to a multiple of ``size_divisor``, one of which it
    requires. The base configs of its models leave it to other configs.
    """
    preprocessor: Any = getattr(network, 'data_preprocessor', None)
    if not hasattr(preprocessor, 'size_divisor'):  # of another library
        return
    size, divisor = preprocessor.size, preprocessor.size_divisor
    if (size is None) == (divisor is None):
        found = 'neither it nor' if size is None else 'both it and'
        raise UserError(
            f'model.data_preprocessor.size: {found} size_divisor is set; set one of '
            'them, such as size to the crop size of the training'
        )
