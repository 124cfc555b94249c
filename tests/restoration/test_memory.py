import torch

from lorair_cli.model.config import NetworkConfig
from lorair_cli.restoration import memory
from lorair_cli.restoration.memory import (
    LARGEST_TILE,
    LARGEST_WHOLE,
    bytes_per_pixel,
    choose_tile,
    choose_whole,
    free_memory,
)

COMPACT = NetworkConfig(width=48, encoder_blocks=(1, 1, 8), decoder_blocks=(1, 1, 1), stem=2)
GIB = 2**30


def test_the_model_is_not_below_what_was_measured():
    """Peaks of the process on the CPU in float32, in bytes per pixel of a tile of 512 (compact) and 256 (paper)."""
    assert 619 <= bytes_per_pixel(COMPACT) < 700
    assert 3013 <= bytes_per_pixel(NetworkConfig()) < 3400


def test_more_memory_never_gives_a_smaller_tile_and_half_of_it_is_enough():
    sides = [choose_tile(COMPACT, int(0.01 * GIB * 2**step)) for step in range(12)]
    assert sides == sorted(sides) and sides[0] == 128 and sides[-1] == LARGEST_TILE
    for free in (GIB // 8, GIB // 3, GIB):
        assert choose_tile(COMPACT, free) ** 2 * bytes_per_pixel(COMPACT) <= free / 2
    assert choose_tile(NetworkConfig(), 4 * GIB) < choose_tile(COMPACT, 4 * GIB) == LARGEST_TILE


def test_nobody_knows_how_much_is_free():
    assert choose_tile(COMPACT, None) == LARGEST_TILE


def test_this_machine_has_memory():
    free = free_memory(torch.device("cpu"))
    assert free is None or 2**20 < free < 2**50


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    files = {"memory.max": "3000000", "memory.current": "2000000", "memory.stat": "anon 1\ninactive_file 500000\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert free_memory(torch.device("cpu")) == 1_500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(torch.device("cpu")) != 1_500_000


def test_what_is_restored_in_one_piece_needs_no_more_than_half_the_memory():
    assert choose_whole(COMPACT, None) == LARGEST_TILE**2 < LARGEST_WHOLE == choose_whole(COMPACT, 100 * GIB)
    for free in (GIB // 10, GIB, 2 * GIB):
        assert 0 < choose_whole(COMPACT, free) * bytes_per_pixel(COMPACT) <= free / 2
    assert choose_whole(COMPACT, 0) == 0
