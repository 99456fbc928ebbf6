# The paper's settings for ImageNet: tau 1, beta and gamma 2. Cross entropy
# keeps its weight.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_dist=dict(type='DISTLoss', tau=1.0, beta=2.0, gamma=2.0))
