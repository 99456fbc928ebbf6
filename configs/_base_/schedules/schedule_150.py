# For the demo: takes less than a minute on a CPU.
_base_ = './schedule_40k.py'
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.01, weight_decay=0.01)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=25, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=25, end=150, by_epoch=False),
]
train_cfg = dict(max_iters=150, val_interval=50)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=50))
