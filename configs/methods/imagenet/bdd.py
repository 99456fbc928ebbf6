# The paper's settings were not available. Tau is from kd.py, whose weight is split
# between forward and reverse divergence. The cross entropy has weight 0.5. Untested.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=1.0,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=0.25,
    )
)
