# Plain distillation at each pixel, tau^2 KL(teacher || student).
# Tau 1 and weight 1: CIRKD's code for Cityscapes.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_kd=dict(type='KDLoss', tau=1.0, loss_weight=1.0))
