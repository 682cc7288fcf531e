"""What the project costs and is worth, measured: run from the root as PYTHONPATH=src python -m benchmarks.<name>."""
