# Multi-level KD: each pixel at five temperatures, and in each image the relations between
# cells of a grid and between classes. Not tuned: five terms of kd.py's size, and the
# relations are larger.
distill_losses = dict(
    loss_mlkd=dict(type='MLKDLoss', loss_weight=0.1, resolution='tap')
)
