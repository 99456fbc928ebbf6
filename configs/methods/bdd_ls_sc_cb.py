# BDD + LS, scale-compensated and class-balanced; neither is in the papers, and both are
# untested at this scale. Tau is lskd.py's. With the factor (tau * std)^2 of the student
# instead of tau^2 the gradient is tau * std * (q - p). Tau * std is about 1 at the
# teacher's std of 3 and small for a fresh head: weight 1, as in kd.py, and no warm-up.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.33,
        standardize=True,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        scale_compensated=True,
        class_balanced=True,
        loss_weight=1.0,
    )
)
