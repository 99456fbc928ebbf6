# MLKD+LS with the settings that the study chose, see README.md.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_mlkd=dict(
        type='MLKDLoss',
        tau=2.0,
        taus=[3.0, 5.0, 2.0, 6.0],
        standardize=True,
        loss_weight=3.0,
        schedule=dict(warmup=400 / 2740),  # iterations
    )
)
