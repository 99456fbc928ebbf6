# The paper's settings for CIFAR-100: tau 4, beta and gamma 2. The cross entropy has
# weight 1.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_dist=dict(type='DISTLoss', tau=4.0, beta=2.0, gamma=2.0))
