# KD at a temperature that is learnt against the student, between 1 and 21; it comes into
# play over the first 4000 iterations, as over 10 of 240 epochs in its paper. Not tuned.
distill_losses = dict(
    loss_ctkd=dict(
        type='CTKDLoss', warmup=4000, by_epoch=False, loss_weight=1.0, resolution='tap'
    )
)
