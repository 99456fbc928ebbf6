# Balance divergence (BDD) of standardized logits (LS), scale-compensated and
# class-balanced. Neither extension is in the papers, and both are untested at this
# scale. Tau is from lskd.py. With the factor (tau * std)^2, std being the standard
# deviation of the student's logits, instead of tau^2, the gradient is
# tau * std * (q - p) with the softmaxes p of the teacher and q of the student. tau * std
# is about 1 at the teacher's std of 3 and small for an untrained head; hence weight 1,
# as in kd.py, and no warm-up.
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
    )
)
