# Attention transfer (AT). Weight 10000 is from CIRKD's code for Cityscapes, which compares
# the features before the classifier. The paper uses 1000 for classification.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_at=dict(type='AttentionTransferLoss', loss_weight=10000.0))
