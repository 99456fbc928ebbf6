# Balance divergence: forward KL plus reverse KL, which also sees the classes to which
# the teacher gives tiny probabilities. Tau and weight are the study's on CamVid
# (docs/studies/camvid.md).
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.5,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        loss_weight=0.5,
        resolution='tap',
    )
)
