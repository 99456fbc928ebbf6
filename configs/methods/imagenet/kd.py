# The papers' settings for ImageNet; cross entropy weighs 0.5 beside it.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_kd=dict(type='KDLoss', tau=1.0, loss_weight=0.5))
