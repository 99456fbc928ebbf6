# For experiments, not for results: takes minutes on a CPU.
_base_ = './schedule_40k.py'
_base_.param_scheduler[0].end = 400
optim_wrapper = dict(optimizer=dict(lr=0.02))
train_cfg = dict(max_iters=400, val_interval=200)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=200))
