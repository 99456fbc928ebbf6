# The published settings of DKD for ResNet-34 to ResNet-18, with a warm-up over 1 of 100
# epochs. Beta depends on the pair, see configs/dkd/README.md. The cross entropy has
# weight 1.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss', tau=1.0, alpha=1.0, beta=0.5, schedule=dict(warmup=1 / 100)
    )
)
