_base_ = '../_base_/pairs/imagenet.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
# Not tuned: KD's weight, shared by the two halves.
model = dict(
    student=dict(head=dict(loss=dict(loss_weight=0.5))),
    distill_losses=dict(
        loss_kd=dict(
            type='mmkd.KDLoss',
            tau=1.0,
            divergence=dict(type='mmkd.BalancedKL'),
            loss_weight=0.25,
        )
    ),
)
