# The paper's temperature range, 1 to 21, and curriculum over 10 of 240 epochs. The
# weight and that of the cross entropy (0.1) are from kd.py.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss', t_start=1.0, t_end=20.0, warmup=10 / 240, loss_weight=0.9
    )
)
