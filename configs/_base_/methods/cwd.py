# Channel-wise distillation: each channel is a distribution over the positions, its
# divergence summed over positions and averaged over channels. Tau and weight are the
# study's on CamVid (docs/studies/camvid.md).
distill_losses = dict(
    loss_cwd=dict(type='CWDLoss', tau=0.5, loss_weight=3.0, resolution='tap')
)
