_base_ = [
    '../imagenet/resnet18_8xb64-100e_in1k.py',
    '../methods/imagenet/dist.py',
    '../_base_/teachers/resnet34_imagenet.py',
]
