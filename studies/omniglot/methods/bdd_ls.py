# BDD+LS with the settings that the study chose, see README.md.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=1.0,
        standardize=True,
        divergence='BalancedKL',
        loss_weight=13.5,
        schedule=dict(warmup=400 / 2740),  # iterations
    )
)
