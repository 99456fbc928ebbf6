# Multi-level KD: each pixel at five temperatures, and in each image the relations between
# cells of a grid and between classes. Not tuned: the weight of five terms and relations.
distill_losses = dict(
    loss_mlkd=dict(type='MLKDLoss', loss_weight=0.1, resolution='tap')
)
