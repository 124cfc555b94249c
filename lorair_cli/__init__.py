"""lorair: all-in-one photo restoration with routed low-rank experts (LoRA-IR, arXiv 2410.15385)."""

__version__ = "0.1.0"
