# CTKD's published range and curriculum, LSKD's weight of 9; cross entropy weighs 0.5
# beside it. The warm-up of the weight is mmkd's, see lskd.py.
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
