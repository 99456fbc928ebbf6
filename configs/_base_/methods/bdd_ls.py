# The main recipe. Balance divergence of standardised logits at each pixel, levelled: the
# factor tau^2 is that of the temperature that a pixel has in effect, tau * std, so that
# no warm-up is needed, and all classes weigh the same. Beside it channel-wise
# distillation, which sees where in the image a class is. Temperatures and weights are
# those that the study on CamVid has found (docs/studies/camvid.md).
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.25,
        standardize=True,
        divergence=dict(type='BalancedKL', forward_weight=1.0, reverse_weight=1.0),
        effective_tau=True,
        balance_classes=True,
        loss_weight=4.0,
        resolution='tap',
    ),
    loss_cwd=dict(type='CWDLoss', tau=0.5, loss_weight=3.0, resolution='tap'),
)
