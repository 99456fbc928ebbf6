_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(
        loss_dkd=dict(
            type='mmkd.DKDLoss',
            tau=2.0,
            standardize=True,
            alpha=1.0,
            beta=8.0,
            loss_weight=3.0,
            schedule=dict(warmup=400),
        )
    ),
)
