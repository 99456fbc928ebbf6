# Correlation of predictions, over the classes and over the pixels: the settings of its
# paper on Cityscapes.
distill_losses = dict(
    loss_dist=dict(type='DISTLoss', tau=1.0, beta=1.0, gamma=1.0, resolution='tap')
)
