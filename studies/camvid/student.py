# PSPNet on ResNet-18 of an eighth of the width. An auxiliary head, which would take a
# third of the step, does not change its mIoU.
_base_ = [
    '../../configs/_base_/models/pspnet_r18eighth-d8.py',
    './recipe.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=11),
    auxiliary_head=None,
)
