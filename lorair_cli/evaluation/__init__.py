"""Measuring restored photos: metrics, protocols, the benchmarks of the field, the paper's numbers and tables."""
