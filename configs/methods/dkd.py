# Decoupled knowledge distillation (DKD) at each pixel: separate terms for the labeled
# class and the other classes. The paper does not cover segmentation. These are its
# settings for ImageNet, ResNet-34 to ResNet-18: tau 1, alpha 1, beta 0.5, and a warm-up
# over 1 of 100 epochs. Untested at this scale.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss', tau=1.0, alpha=1.0, beta=0.5, schedule=dict(warmup=0.01)
    )
)
