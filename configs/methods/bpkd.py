# Boundary-privileged knowledge distillation (BPKD): knowledge distillation (KD) at the
# pixels on the edges between classes, and channel-wise distillation (CWD) inside of them,
# the form of its paper. Its settings and its training code are not public: tau 1 and
# weight 1 of KD are from CIRKD's code, tau 1 and weight 5 of CWD from MMRazor's config, as
# in kd.py and cwd.py. The edges, 4 pixels of the label on each side of a boundary, are
# ours: the cells of a map with stride 8 that contain a boundary.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(
    loss_edge=dict(type='KDLoss', where='edge', edge_width=4, tau=1.0, loss_weight=1.0),
    loss_body=dict(
        type='CWDLoss', where='body', edge_width=4, tau=1.0, loss_weight=5.0
    ),
)
