"""Pure torch: blocks, experts, modulator, network, router, encoders and their configs."""
