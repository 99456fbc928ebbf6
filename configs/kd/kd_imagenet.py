_base_ = '../_base_/pairs/imagenet.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
model = dict(
    student=dict(head=dict(loss=dict(loss_weight=0.5))),
    distill_losses=dict(loss_kd=dict(type='mmkd.KDLoss', tau=1.0, loss_weight=0.5)),
)
