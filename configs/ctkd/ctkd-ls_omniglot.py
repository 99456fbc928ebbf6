_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(
        loss_ctkd=dict(
            type='mmkd.CTKDLoss',
            warmup=4,
            standardize=True,
            loss_weight=9.0,
            schedule=dict(warmup=100),
        )
    ),
)
