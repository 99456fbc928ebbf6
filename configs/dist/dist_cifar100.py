_base_ = '../_base_/pairs/cifar100.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
model = dict(
    distill_losses=dict(loss_dist=dict(type='mmkd.DISTLoss', tau=4.0, beta=2.0, gamma=2.0)),
)
