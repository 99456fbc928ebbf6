_base_ = '../_base_/pairs/imagenet.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
# Not tuned: the weight of KD with LS, shared by the two halves.
model = dict(
    student=dict(head=dict(loss=dict(loss_weight=0.5))),
    distill_losses=dict(
        loss_kd=dict(
            type='mmkd.KDLoss',
            tau=2.0,
            standardize=True,
            divergence=dict(type='mmkd.BalancedKL'),
            loss_weight=4.5,
        )
    ),
)
