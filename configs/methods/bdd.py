# Balance divergence distillation (BDD) at each pixel: the sum of forward and reverse
# Kullback-Leibler (KL) divergence. The paper's settings were not available; untested at
# this scale. Tau and weight are from kd.py; the weight is split between both terms,
# whose gradients are equal where student and teacher nearly agree.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=1.0,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=0.5,
    )
)
