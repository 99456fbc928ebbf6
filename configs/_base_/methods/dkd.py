# Decoupled KD at each pixel: the labelled class against the rest, and the rest among
# themselves. Not tuned: tau 1 leaves the teacher's probabilities as they are. Both parts
# weigh the same, where plain KD gives the second what the teacher leaves the rest.
distill_losses = dict(
    loss_dkd=dict(type='DKDLoss', tau=1.0, alpha=1.0, beta=1.0, resolution='tap')
)
