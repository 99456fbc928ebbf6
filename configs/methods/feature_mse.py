# Mean squared error between the backbones' features, after a 1x1 convolution on the
# student's side (FitNets). Weight 10 is from CIRKD's code for Cityscapes (PSPNet-R18), which
# compares the features before the classifier.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_feature=dict(type='FeatureMSELoss', adapter='conv', loss_weight=10.0)
)
