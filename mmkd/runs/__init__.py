"""Trainings on disk: their folders, processes and queue."""
