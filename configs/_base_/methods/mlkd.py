# Multi-level KD: each pixel at five temperatures, and in each image the relations of
# cells of a grid and of classes. Not tuned: weight 0.1, as these are many terms.
distill_losses = dict(
    loss_mlkd=dict(type='MLKDLoss', loss_weight=0.1, resolution='tap')
)
