# Nothing is published for the two together: lskd.py's tau and warm-up, and its weight
# shared by the two halves. Cross entropy weighs 0.5 beside it. Untested.
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
