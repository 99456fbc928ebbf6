# Channel-wise distillation: each channel is a distribution over the positions.
# A channel's divergence is summed over positions and averaged over channels; weight 3
# was the one tried, with tau 1, in the rough runs on CamVid.
distill_losses = dict(
    loss_cwd=dict(type='CWDLoss', tau=1.0, loss_weight=3.0, resolution='tap')
)
