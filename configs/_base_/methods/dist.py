# Correlation of predictions, over the classes and over the pixels, in equal parts as in
# its paper; the weight is the study's on CamVid (docs/studies/camvid.md).
distill_losses = dict(
    loss_dist=dict(
        type='DISTLoss',
        tau=1.0,
        beta=1.0,
        gamma=1.0,
        loss_weight=4.0,
        resolution='tap',
    )
)
