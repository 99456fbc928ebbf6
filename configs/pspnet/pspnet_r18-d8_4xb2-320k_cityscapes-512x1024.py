_base_ = [
    '../_base_/models/pspnet_r18-d8.py',
    '../_base_/datasets/cityscapes_512x1024.py',
    '../_base_/schedules/schedule_320k.py',
    '../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
