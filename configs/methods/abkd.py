# ABKD at each pixel: the alpha-beta divergence, which lies between the forward and the
# reverse Kullback-Leibler (KL) divergence. Alpha 0.8 and beta 0.3 are the paper's for
# CIFAR-100; it does not cover segmentation, and these settings are untested at this
# scale. Tau and weight are from kd.py.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=1.0,
        divergence=dict(type='AlphaBeta', alpha=0.8, beta=0.3),
        loss_weight=1.0,
    )
)
