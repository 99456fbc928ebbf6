# DKD of standardized logits at each pixel. The papers do not treat segmentation. Tau 2
# and 9 times DKD's weights are LSKD's settings for classification, alpha and beta those
# of dkd.py. The warm-up is mmkd's, see lskd.py. Untested at this scale.
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
