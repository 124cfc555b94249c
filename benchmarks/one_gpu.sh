#!/bin/sh
# Train the bundled compact weights further on one large GPU, in a slice of a few minutes.
#
#     python benchmarks/pack_photos.py PHOTOS [MORE ...] -o PACK        where the photos are
#     benchmarks/one_gpu.sh PACK START RUN MINUTES [OPTIONS OF TRAIN]   where the GPU is
#
# START is a checkpoint: the bundled one, or what the last slice made. All three stages run in the MINUTES; `--stage
# finetune`, say, runs one alone, and any `--set` overrules the ones below. Each slice ends annealed, so its weights can
# be used as they are: RUN/router.safetensors, pretrain.safetensors and finetune.safetensors, and the last of them in
# 16 bits, weights.safetensors. A slice that was stopped goes on with the same command.
#
# What differs from the recipe for two CPU cores: batches ten times as large, patches as large as most photos (a shadow
# is seen by what lies beside it), one process per core that makes samples, decoded photos kept on disk, and averages of
# the weights. Where the samples cannot be made fast enough for the GPU, more patches of each photo cost nothing:
# `--set pretrain.sampling.patches=2`.
set -eu
if [ $# -lt 4 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi
pack=$1 start=$2 run=$3 minutes=$4
shift 4
python3 -m lorair_cli train --setting 10task --scale compact --clean "$pack" --start-from "$start" --out "$run" \
    --minutes "$minutes" --workers "$(nproc)" --cache "$run/decoded" \
    --set keeps_prior=1.0 \
    --set router.photos=192 --set router.learning_rate=1e-3 --set router.ema=0.998 --set router.share=0.2 \
    --set router.sampling.untouched=0.12 --set router.sampling.ratios.blur=2.2 \
    --set pretrain.photos=48 --set pretrain.learning_rate=8e-4 --set pretrain.ema=0.995 --set pretrain.share=0.45 \
    --set pretrain.sampling.photo_sides='[384, 512]' --set pretrain.sampling.patch=384 \
    --set finetune.photos=48 --set finetune.learning_rate=8e-4 --set finetune.ema=0.995 --set finetune.share=0.35 \
    --set finetune.sampling.photo_sides='[384, 512]' --set finetune.sampling.patch=384 \
    --set finetune.sampling.untouched=0.12 --set finetune.loss_epsilon=5e-4 "$@"
# The router's own file has no network to ship.
for stage in finetune pretrain; do
    made=$run/$stage.safetensors
    if [ -f "$made" ]; then
        python3 -m lorair_cli weights combine "$made" --router "$made" --half -o "$run/weights.safetensors" --overwrite
        break
    fi
done
