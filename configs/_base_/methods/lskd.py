# Logit standardisation: KD on z-scored logits, so that only relations between classes
# are learnt. Tau and weight are the study's on CamVid (docs/studies/camvid.md).
# The gradient is loss_weight * tau / std(student) * (q - p) and the student's std is
# tiny at the start, hence the warm-up of the weight, in iterations.
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.25,
        standardize=True,
        loss_weight=16.0,
        resolution='tap',
        schedule=dict(warmup=4000),
    )
)
