_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(
        loss_kd=dict(
            type='mmkd.KDLoss',
            tau=2.0,
            standardize=True,
            loss_weight=27.0,
            schedule=dict(warmup=400),
        )
    ),
)
