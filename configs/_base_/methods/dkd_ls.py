# DKD of standardised logits. Not tuned: tau, weight and warm-up are those of lskd.py.
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss',
        tau=0.5,
        standardize=True,
        alpha=1.0,
        beta=1.0,
        loss_weight=8.0,
        resolution='tap',
        schedule=dict(warmup=4000),
    )
)
