_base_ = 'mlkd_imagenet.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
model = dict(
    distill_losses=dict(loss_mlkd=dict(tau=2.0, standardize=True, loss_weight=9.0)),
)
