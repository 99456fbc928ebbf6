# The study gives the loss its arguments: tools/studies/camvid_r101.py.
_base_ = './student.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/teacher.py',
        checkpoint='work_dirs/teacher/iter_10000.pth',
        precision='bf16',
    ),
    distill_losses=dict(loss=dict(type='mmkd.KDLoss')),
)
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric', stride=4)]
test_evaluator = val_evaluator
# It is the same teacher each time, and has been validated.
custom_hooks = [dict(type='mmkd.DistillHook', teacher_images=0)]
