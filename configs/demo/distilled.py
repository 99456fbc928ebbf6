_base_ = './student.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/teacher.py',
        checkpoint='work_dirs/teacher/iter_400.pth',
    ),
    # BDD + LS as its two papers have it: with this, the results in README.md were made.
    distill_losses=dict(
        loss_kd=dict(
            type='KDLoss',
            tau=0.5,
            standardize=True,
            divergence=dict(type='BalancedKL'),
            loss_weight=4.0,
            resolution='tap',
            schedule=dict(warmup=60),
        )
    ),
)
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric', stride=4)]
