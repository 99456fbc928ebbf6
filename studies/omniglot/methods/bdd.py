# BDD with the settings that the study chose, see README.md.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=2.0,
        divergence='BalancedKL',
        loss_weight=1.5,
    )
)
