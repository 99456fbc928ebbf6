# Channel-wise distillation (CWD): each channel is a distribution over the pixels. Tau 1
# and weight 5 on the logits are from MMRazor's config for PSPNet-R101 to PSPNet-R18 on
# Cityscapes. The paper uses tau 4 and weight 3.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_cwd=dict(type='CWDLoss', tau=1.0, loss_weight=5.0))
