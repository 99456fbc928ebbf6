# The settings of dkd.py with LSKD's tau 2 and 9 times the weights. LSKD's authors tuned
# beta again for each pair, so their exact settings differ.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss',
        tau=2.0,
        standardize=True,
        alpha=1.0,
        beta=0.5,
        loss_weight=9.0,
        schedule=dict(warmup=1 / 100),
    )
)
