# The authors' settings for ImageNet, on two views of each image. They sum the cross
# entropy of the views with weight 0.5 each; mmpretrain takes the mean: 1 here.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_mlkd=dict(type='MLKDLoss', tau=1.0, views=2, loss_weight=0.5)
)
