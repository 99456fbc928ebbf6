# Channel-wise distillation (CWD) of the backbones' features. Tau 4 and weight 50 are from
# CIRKD's code for Cityscapes, which compares the features before the classifier.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_cwd=dict(
        type='CWDLoss',
        student='backbone',
        teacher='backbone',
        adapter='conv',
        tau=4.0,
        loss_weight=50.0,
    )
)
