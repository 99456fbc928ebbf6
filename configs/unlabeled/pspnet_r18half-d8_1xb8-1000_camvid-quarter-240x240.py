_base_ = [
    '../_base_/models/pspnet_r18half-d8.py',
    '../_base_/datasets/camvid_quarter_240x240.py',
    '../_base_/schedules/schedule_400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=11),
    auxiliary_head=dict(num_classes=11),
)
_base_.param_scheduler[0].end = 1000
train_cfg = dict(max_iters=1000)
