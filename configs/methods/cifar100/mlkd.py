# The authors' settings for CIFAR-100, on two views of each image. They sum the cross
# entropy of the views with weight 0.1 each; mmpretrain takes the mean: 0.2 here.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_mlkd=dict(type='MLKDLoss', tau=4.0, views=2, loss_weight=0.9)
)
