_base_ = '../_base_/pairs/imagenet.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
model = dict(
    distill_losses=dict(
        loss_dkd=dict(
            type='mmkd.DKDLoss',
            tau=1.0,
            alpha=1.0,
            beta=_base_.dkd_beta,
            schedule=dict(warmup=1, by_epoch=True),
        )
    ),
)
