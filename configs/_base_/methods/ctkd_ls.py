# CTKD of standardised logits, whose useful temperatures are lower: between 0.5 and 4.5.
# Not tuned: the weight's warm-up is that of lskd.py.
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss',
        t_start=0.5,
        t_end=4.0,
        warmup=4000,
        by_epoch=False,
        standardize=True,
        loss_weight=4.0,
        resolution='tap',
        schedule=dict(warmup=4000),
    )
)
