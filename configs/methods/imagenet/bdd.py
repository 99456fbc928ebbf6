# The paper's settings were not available: kd.py's tau, and its weight shared by the two
# halves. Cross entropy weighs 0.5 beside it. Untested.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=1.0,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=0.25,
    )
)
