# Balance divergence of standardized logits at each pixel, as the two papers describe.
# Nothing is published for the two together; untested at this scale. Tau and warm-up are
# lskd.py's, which states the arithmetic; its weight of 9 is shared by the two halves.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.33,
        standardize=True,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=4.5,
        schedule=dict(warmup=0.05),
    )
)
