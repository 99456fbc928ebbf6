# Balance divergence of standardized logits (BDD + LS) with the temperature, weight and
# warm-up of the results in README.md.
_base_ = [
    './student.py',
    '../methods/bdd_ls.py',
    '../_base_/teachers/pspnet_r18quarter_street-scenes.py',
]
distill_losses = dict(loss_kd=dict(tau=0.5, loss_weight=4.0, schedule=dict(warmup=0.4)))
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric', stride=4)]
