# Balance divergence (BDD) of standardized logits (LSKD) at each pixel, as described in
# the two papers. No settings are published for the combination; untested at this scale.
# Tau and warm-up are derived in lskd.py, whose weight of 9 is split between forward and
# reverse divergence.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.33,
        standardize=True,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=4.5,
        schedule=dict(warmup=0.05),
    )
)
