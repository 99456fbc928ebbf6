# Intra-class feature variation distillation (IFVD). Weight 20 is from CIRKD's code for
# Cityscapes, which compares the features before the classifier.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_ifvd=dict(type='IFVDLoss', loss_weight=20.0))
