# The paper's range, 1 to 21, and curriculum, over 5 of 100 epochs; weight and cross
# entropy (0.5) as in kd.py.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss', t_start=1.0, t_end=20.0, warmup=5 / 100, loss_weight=0.5
    )
)
