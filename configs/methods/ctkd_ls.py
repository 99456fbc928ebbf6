# Curriculum temperature (CTKD) with standardized logits (LSKD). The papers do not cover
# segmentation. Range and curriculum are from ctkd.py; the weight of 9 is LSKD's for
# classification. The warm-up of the weight is an addition of mmkd, see lskd.py.
# Untested at this scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss',
        t_start=1.0,
        t_end=20.0,
        warmup=10 / 240,
        standardize=True,
        loss_weight=9.0,
        schedule=dict(warmup=0.05),
    )
)
