# The published settings of DKD for resnet32x4 to resnet8x4, with a warm-up over 20 of
# 240 epochs. Beta depends on the pair, see configs/dkd/README.md. The cross entropy has
# weight 1.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss', tau=4.0, alpha=1.0, beta=8.0, schedule=dict(warmup=20 / 240)
    )
)
