"""The HTTP service. Nothing here imports torch: it keeps jobs and pictures, and workers of their own make them."""
