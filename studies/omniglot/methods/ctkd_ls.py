# CTKD+LS with the settings that the study chose, see README.md.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss',
        t_start=0.5,
        t_end=6.0,
        warmup=4,
        standardize=True,
        loss_weight=27.0,
        schedule=dict(warmup=400 / 2740),  # iterations
    )
)
