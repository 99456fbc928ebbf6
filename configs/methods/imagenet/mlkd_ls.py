# The settings of mlkd.py with LSKD's published tau 2 and weight 9. The warm-up is an
# addition of mmkd, see lskd.py.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_mlkd=dict(
        type='MLKDLoss',
        tau=2.0,
        views=2,
        standardize=True,
        loss_weight=9.0,
        schedule=dict(warmup=0.05),
    )
)
