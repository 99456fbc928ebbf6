# The study gives the loss its arguments: tools/studies/omniglot.py.
_base_ = '../../_base_/pairs/omniglot.py'
model = dict(distill_losses=dict(loss=dict(type='mmkd.KDLoss')))
train_cfg = dict(val_interval=20)
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric')]
test_evaluator = val_evaluator
# It is the same teacher each time, and has been validated.
custom_hooks = [dict(type='mmkd.DistillHook', teacher_images=0)]
