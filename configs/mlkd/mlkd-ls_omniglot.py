_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(
        loss_mlkd=dict(
            type='mmkd.MLKDLoss',
            tau=2.0,
            standardize=True,
            loss_weight=3.0,
            schedule=dict(warmup=400),
        )
    ),
)
