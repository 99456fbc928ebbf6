# The authors' settings for CIFAR-100, with two views of each image. The authors sum the
# cross entropies of both views with weight 0.1 each; mmpretrain averages them, hence
# weight 0.2.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_mlkd=dict(type='MLKDLoss', tau=4.0, views=2, loss_weight=0.9)
)
