# KD at a temperature that is learned against the student. The paper does not treat
# segmentation. The range, 1 to 21, and the curriculum over 10 of 240 epochs are its
# settings for CIFAR-100; the weight is that of kd.py. Untested at this scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss', t_start=1.0, t_end=20.0, warmup=10 / 240, loss_weight=1.0
    )
)
