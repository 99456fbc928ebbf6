# Multi-level logit distillation (MLKD): pixels at five temperatures and, for each
# image, the relations between the cells of a grid and between the classes. The paper
# does not cover segmentation. Tau 1 (then 3, 5, 2 and 6) and weight 0.5 are the
# authors' settings for ImageNet, but with one view of each image instead of two.
# Untested at this scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_mlkd=dict(type='MLKDLoss', tau=1.0, loss_weight=0.5))
