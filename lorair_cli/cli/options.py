"""Options that several commands share, with one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorair_cli.settings import DEFAULT_SETTING, SETTINGS

SettingOption = Annotated[
    str,
    typer.Option("--setting", help=f"Which degradations to expect: {', '.join(SETTINGS)}.", show_default=True),
]
ScaleOption = Annotated[
    str, typer.Option("--scale", help="compact (bundled, fast on a laptop) or paper (the full-size network).")
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="A checkpoint of your own (.safetensors), instead of --setting.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", help="auto, float32, bfloat16 or float16. auto takes bfloat16 where it is fast."),
]
TopKOption = Annotated[
    int | None,
    typer.Option(
        "--top-k", min=1, help="How many experts to mix; the number the weights were trained with if not given."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per photo on stdout.")]

DEFAULTS = {"setting": DEFAULT_SETTING, "scale": "compact"}
