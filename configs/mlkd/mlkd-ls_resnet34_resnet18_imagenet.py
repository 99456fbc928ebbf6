_base_ = [
    'resnet18_two-views_8xb64-100e_in1k.py',
    '../methods/imagenet/mlkd_ls.py',
    '../_base_/teachers/resnet34_imagenet.py',
]
