# KD+LS with the settings that the study chose, see README.md.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=2.0,
        standardize=True,
        loss_weight=27.0,
        schedule=dict(warmup=400 / 2740),  # iterations
    )
)
