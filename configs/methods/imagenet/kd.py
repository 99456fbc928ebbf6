# The papers' settings for ImageNet. The cross entropy has weight 0.5.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_kd=dict(type='KDLoss', tau=1.0, loss_weight=0.5))
