_base_ = [
    '../_base_/models/pspnet_r18quarter-d8.py',
    '../_base_/datasets/street_scenes_128x256.py',
    '../_base_/schedules/schedule_150.py',
    '../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
_base_.param_scheduler[1].end = 400
train_cfg = dict(max_iters=400, val_interval=100)
