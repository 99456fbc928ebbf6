"""Trainings on disk: run directories, processes, a queue and a diagnosis."""
