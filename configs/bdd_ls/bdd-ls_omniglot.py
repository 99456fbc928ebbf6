_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(
        loss_kd=dict(
            type='mmkd.KDLoss',
            tau=1.0,
            standardize=True,
            divergence=dict(type='mmkd.BalancedKL'),
            loss_weight=13.5,
            schedule=dict(warmup=400),
        )
    ),
)
