_base_ = [
    './student.py',
    '../_base_/methods/bdd_ls.py',
    '../_base_/teachers/pspnet_r18quarter_street-scenes.py',
]
_base_.distill_losses.loss_kd.schedule.warmup = 60
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric', stride=4)]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    distill_losses=_base_.distill_losses,
)
