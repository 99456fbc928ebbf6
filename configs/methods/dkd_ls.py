# Decoupled knowledge distillation (DKD) of standardized logits (LSKD) at each pixel.
# The papers do not cover segmentation. Tau 2 and 9 times the weights of DKD are LSKD's
# settings for classification; alpha and beta are from dkd.py. The warm-up is an
# addition of mmkd, see lskd.py. Untested at this scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss',
        tau=2.0,
        standardize=True,
        alpha=1.0,
        beta=0.5,
        loss_weight=9.0,
        schedule=dict(warmup=0.05),
    )
)
