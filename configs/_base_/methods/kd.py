# Plain distillation at each pixel: tau^2 KL(teacher || student). Tau and weight are the
# study's on CamVid (docs/studies/camvid.md), whose trainings are short: with tau 1 and
# weight 1 the teacher's probabilities would stay as they are.
distill_losses = dict(
    loss_kd=dict(type='KDLoss', tau=0.5, loss_weight=4.0, resolution='tap')
)
