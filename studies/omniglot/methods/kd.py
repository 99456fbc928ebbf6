# KD with the settings that the study chose, see README.md.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=4.0,
        loss_weight=1.0,
    )
)
