# The paper's settings for CIFAR-100: tau 4, beta and gamma 2. Cross entropy
# keeps its weight.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_dist=dict(type='DISTLoss', tau=4.0, beta=2.0, gamma=2.0))
