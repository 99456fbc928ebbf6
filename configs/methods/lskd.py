# Logit standardization: KD of z-scored logits at each pixel. The paper does not treat
# segmentation, and these settings are untested at this scale. They equal kd.py's in
# size: the teacher's logits have a standard deviation of about 3 over the classes, and
# * z at tau is the raw logits at tau * 3, so tau 0.33 corresponds to kd.py's tau 1;
# * the gradient is weight * tau / std * (q - p), so weight std / tau = 3 / 0.33 = 9
#   gives a student of the same std kd.py's gradient.
# A fresh head's std is about 0.01, hence the warm-up of the weight.
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
