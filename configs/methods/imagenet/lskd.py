# Logit standardization (LSKD) with the paper's settings for ImageNet, tau 2 and weight
# 9. The cross entropy has weight 0.5. The warm-up is an addition of mmkd: the logits of
# an untrained head have a standard deviation of about 0.1, by which the gradient is
# divided.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=2.0,
        standardize=True,
        loss_weight=9.0,
        schedule=dict(warmup=0.05),
    )
)
