_base_ = [
    '../imagenet/resnet18_8xb64-100e_in1k.py',
    '../methods/imagenet/bdd.py',
    '../_base_/teachers/resnet34_imagenet.py',
]
model = dict(head=dict(loss=dict(loss_weight=0.5)))
