# The losses of kd.py and feature_mse.py, each as published. The combination is untested at
# this scale; plain logit and feature distillation are the reference of arXiv 2604.25530.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(type='KDLoss', tau=1.0, loss_weight=1.0),
    loss_feature=dict(type='FeatureMSELoss', adapter='conv', loss_weight=10.0),
)
