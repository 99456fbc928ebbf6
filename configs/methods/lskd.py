# Logit standardization (LSKD): KD of Z-scored logits z at each pixel. The paper does not
# cover segmentation, and these settings are untested at this scale. They match kd.py,
# given that the teacher's logits have a standard deviation (std) of about 3 over the
# classes:
# * z at tau equals the raw logits at tau * 3, so tau 0.33 corresponds to kd.py's tau 1;
# * with the softmaxes p of the teacher and q of the student, the gradient is
#   weight * tau / std * (q - p), so the weight std / tau = 3 / 0.33 = 9 gives a student
#   with the same std the gradient of kd.py.
# The std of an untrained head is about 0.01, hence the warm-up of the weight.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.33,
        standardize=True,
        loss_weight=9.0,
        schedule=dict(warmup=0.05),
    )
)
