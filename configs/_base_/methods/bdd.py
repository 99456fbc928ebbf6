# Balance divergence: forward KL plus reverse KL, which also sees the classes to which
# the teacher gives tiny probabilities. The two halves weigh the same until data says
# otherwise; tau and loss_weight are those of kd.py: only the divergence differs.
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=1.0,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=1.0,
        resolution='tap',
    )
)
