# For studies of many runs on a CPU: in so few iterations the baseline gets further with
# AdamW than with SGD.
_base_ = './schedule_150.py'
optim_wrapper = dict(optimizer=dict(lr=0.005))
_base_.param_scheduler[1].end = 400
train_cfg = dict(max_iters=400, val_interval=400)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=200))
