# MLKD whose pixels are compared standardised. Not tuned: as mlkd.py; lskd.py's warm-up.
distill_losses = dict(
    loss_mlkd=dict(
        type='MLKDLoss',
        standardize=True,
        loss_weight=0.1,
        resolution='tap',
        schedule=dict(warmup=4000),
    )
)
