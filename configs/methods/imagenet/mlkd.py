# The authors' settings for ImageNet, with two views of each image. The authors sum the
# cross entropies of both views with weight 0.5 each; mmpretrain averages them, hence
# weight 1.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_mlkd=dict(type='MLKDLoss', tau=1.0, views=2, loss_weight=0.5)
)
