# The papers' settings for CIFAR-100. The cross entropy has weight 0.1.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_kd=dict(type='KDLoss', tau=4.0, loss_weight=0.9))
