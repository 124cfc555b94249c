"""Where checkpoints lie, how they are written, read and checked."""
