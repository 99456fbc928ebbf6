# The teacher of the CamVid study, with 19 classes.
_base_ = [
    '../../configs/_base_/models/pspnet_r18half-d8.py',
    './recipe.py',
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
