_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(
        loss_ctkd=dict(
            type='mmkd.CTKDLoss',
            t_start=0.5,
            t_end=6.0,
            warmup=4,
            standardize=True,
            loss_weight=27.0,
            schedule=dict(warmup=400),
        )
    ),
)
