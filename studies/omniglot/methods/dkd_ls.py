# DKD+LS with the settings that the study chose, see README.md.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss',
        tau=2.0,
        beta=8.0,
        standardize=True,
        loss_weight=3.0,
        schedule=dict(warmup=400 / 2740),  # iterations
    )
)
