# Strong view of an image for MLKD, with distortions and random erasing.
strong = [
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        magnitude_level=10,
        magnitude_std='inf',
    ),
    dict(type='RandomErasing', erase_prob=1.0, min_area_ratio=0.0, max_area_ratio=0.25),
]
