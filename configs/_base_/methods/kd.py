# Plain distillation at each pixel: tau^2 KL(teacher || student).
# Cross entropy and KD weigh the same, and tau 1 leaves the teacher's probabilities as
# they are: the gradient is then on the scale of cross entropy's own.
distill_losses = dict(
    loss_kd=dict(type='KDLoss', tau=1.0, loss_weight=1.0, resolution='tap')
)
