_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(
        loss_kd=dict(
            type='mmkd.KDLoss',
            tau=2.0,
            divergence=dict(type='mmkd.BalancedKL'),
            loss_weight=1.5,
        )
    ),
)
