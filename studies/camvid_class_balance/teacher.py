# PSPNet on ResNet-18 of half the width.
_base_ = [
    '../../configs/_base_/models/pspnet_r18half-d8.py',
    '../camvid/recipe.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=11),
    auxiliary_head=dict(num_classes=11),
)
speed = dict(amp='bfloat16')
