# DKD of standardised logits. Tau and weight are the study's on CamVid
# (docs/studies/camvid.md); the warm-up is lskd.py's.
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss',
        tau=0.25,
        standardize=True,
        alpha=1.0,
        beta=1.0,
        loss_weight=16.0,
        resolution='tap',
        schedule=dict(warmup=4000),
    )
)
