# ABKD's published settings for CIFAR-100: alpha 0.8, beta 0.3, tau 4, and the weight 32
# of its code's example, which is without the factor tau^2 = 16. The cross entropy has weight 1.
# Untested.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=4.0,
        divergence=dict(type='AlphaBeta', alpha=0.8, beta=0.3),
        loss_weight=2.0,
    )
)
