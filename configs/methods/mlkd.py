# Multi-level KD: each pixel at five temperatures and, in each image, the relations of
# the cells of a grid and of the classes. The paper does not treat segmentation. Tau 1
# (then 3, 5, 2 and 6) and weight 0.5 are its authors' for ImageNet; one view of each
# image instead of two. Untested at this scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_mlkd=dict(type='MLKDLoss', tau=1.0, loss_weight=0.5))
