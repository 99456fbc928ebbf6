_base_ = './schedule_40k.py'
_base_.param_scheduler[0].end = 320000
train_cfg = dict(max_iters=320000, val_interval=8000)
default_hooks = dict(checkpoint=dict(interval=8000))
