"""Router, stage 1 and stage 2 on Accelerate."""
