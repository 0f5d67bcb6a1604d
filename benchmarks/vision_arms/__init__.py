"""Parts of `benchmarks/vision_gpu.py`: pages and weights to run on, the arms that are compared, and their judges."""
