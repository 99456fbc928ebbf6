# Correlation of predictions over the classes and over the pixels (DIST). Tau, beta,
# gamma and the weight are 1, the paper's settings for segmentation.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_dist=dict(type='DISTLoss', tau=1.0, beta=1.0, gamma=1.0, loss_weight=1.0)
)
