# The main recipe: balance divergence of standardised logits. As lskd.py, but there are
# two halves of the divergence here, so half the weight.
# Its warm-up too, for the reason given there.
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.5,
        standardize=True,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=4.0,
        resolution='tap',
        schedule=dict(warmup=4000),
    )
)
