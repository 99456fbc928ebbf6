_base_ = '../_base_/pairs/imagenet.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
model = dict(
    distill_losses=dict(loss_dist=dict(type='mmkd.DISTLoss', tau=1.0, beta=2.0, gamma=2.0)),
)
