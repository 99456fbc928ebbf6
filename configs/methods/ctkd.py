# Curriculum temperature (CTKD): KD at an adversarially learned temperature. The paper
# does not cover segmentation. The range, 1 to 21, and the curriculum over 10 of 240
# epochs are its settings for CIFAR-100; the weight is from kd.py. Untested at this
# scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss', t_start=1.0, t_end=20.0, warmup=10 / 240, loss_weight=1.0
    )
)
