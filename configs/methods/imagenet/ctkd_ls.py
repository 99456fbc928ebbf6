# The published temperature range and curriculum of CTKD, and LSKD's weight of 9. The
# cross entropy has weight 0.5. The warm-up of the weight is an addition of mmkd, see
# lskd.py.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss',
        t_start=1.0,
        t_end=20.0,
        warmup=5 / 100,
        standardize=True,
        loss_weight=9.0,
        schedule=dict(warmup=0.05),
    )
)
