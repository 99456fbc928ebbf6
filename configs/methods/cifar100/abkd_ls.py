# ABKD's published settings with logit standardization (LS) for CIFAR-100: alpha 0.9,
# beta 0.3, tau 2 and weight 9. The cross entropy has weight 0.1. The warm-up is from lskd.py. Untested.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=2.0,
        standardize=True,
        divergence=dict(type='AlphaBeta', alpha=0.9, beta=0.3),
        loss_weight=9.0,
        schedule=dict(warmup=0.05),
    )
)
