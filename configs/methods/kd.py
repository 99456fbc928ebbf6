# Knowledge distillation (KD) at each pixel with the Kullback-Leibler (KL) divergence,
# tau^2 KL(teacher || student). Tau 1 and weight 1 are from CIRKD's code for Cityscapes.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_kd=dict(type='KDLoss', tau=1.0, loss_weight=1.0))
