_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(loss_dist=dict(type='mmkd.DISTLoss', tau=4.0, beta=2.0, gamma=2.0)),
)
