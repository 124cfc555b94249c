"""The main job: photo, routing, folded network, tiles, photo."""
