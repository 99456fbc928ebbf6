# LSKD's settings for CIFAR-100, tau 2 and weight 9; cross entropy weighs 0.1 beside it.
# The warm-up is mmkd's, not the paper's: the logits of a fresh head here have a
# standard deviation of about 0.1, and the gradient is divided by it.
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
