# The losses of bdd_ls_sc_cb.py and cwd.py, the latter with its published tau 1 and
# weight 5. The first compares the classes of a pixel, the second the pixels of a class.
# The combination is untested at this scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.33,
        standardize=True,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        scale_compensated=True,
        class_balanced=True,
        loss_weight=1.0,
    ),
    loss_cwd=dict(type='CWDLoss', tau=1.0, loss_weight=5.0),
)
