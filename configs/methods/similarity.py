# Pairwise similarities of structured knowledge distillation (SKD). Weight 10 is from CIRKD's
# code for Cityscapes, which compares the features before the classifier.
runner_type = 'mmkd.DistillRunner'
distill_losses = dict(loss_similarity=dict(type='SimilarityLoss', loss_weight=10.0))
