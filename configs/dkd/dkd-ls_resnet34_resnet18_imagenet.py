_base_ = [
    '../imagenet/resnet18_8xb64-100e_in1k.py',
    '../methods/imagenet/dkd_ls.py',
    '../_base_/teachers/resnet34_imagenet.py',
]
