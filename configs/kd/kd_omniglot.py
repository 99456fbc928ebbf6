_base_ = '../_base_/pairs/omniglot.py'
model = dict(
    distill_losses=dict(loss_kd=dict(type='mmkd.KDLoss', tau=4.0, loss_weight=1.0)),
)
