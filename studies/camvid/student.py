# PSPNet on ResNet-18 of an eighth of the width. An auxiliary head, which would take a
# third of the step, does not change its mIoU.
_base_ = [
    '../../configs/_base_/models/pspnet_r18-d8.py',
    './recipe.py',
]
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(stem_channels=8, base_channels=8),
    decode_head=dict(in_channels=64, channels=16, num_classes=11),
    auxiliary_head=None,
)
