# No settings are published for the combination. Tau and warm-up are from lskd.py, whose
# weight is split between forward and reverse divergence. The cross entropy has weight
# 0.1. Untested.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=2.0,
        standardize=True,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=4.5,
        schedule=dict(warmup=0.05),
    )
)
