_base_ = './student.py'
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    decode_head=dict(in_channels=256, channels=64),
    auxiliary_head=dict(in_channels=128, channels=32),
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 1200
train_cfg = dict(max_iters=1200, val_interval=1200)
