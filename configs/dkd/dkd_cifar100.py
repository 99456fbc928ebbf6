_base_ = '../_base_/pairs/cifar100.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
model = dict(
    distill_losses=dict(
        loss_dkd=dict(
            type='mmkd.DKDLoss',
            tau=4.0,
            alpha=1.0,
            beta=_base_.dkd_beta,
            schedule=dict(warmup=20, by_epoch=True),
        )
    ),
)
