# Multi-level logit distillation (MLKD) with standardized logits (LSKD) in the
# comparison of pixels. The papers do not cover segmentation. Tau 2 (then 3, 5, 2 and 6)
# and weight 9 are LSKD's settings for classification, but with one view of each image
# instead of two. The warm-up is an addition of mmkd, see lskd.py. Untested at this
# scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_mlkd=dict(
        type='MLKDLoss',
        tau=2.0,
        standardize=True,
        loss_weight=9.0,
        schedule=dict(warmup=0.05),
    )
)
