#!/bin/sh
# Train some experts of the bundled compact weights further on one large GPU, each alone, all at the same time.
#
#     python benchmarks/pack_photos.py PHOTOS [MORE ...] -o PACK              where the photos are
#     benchmarks/gpu_experts.sh PACK START RUN MINUTES EXPERT [EXPERT ...]    where the GPU is
#
# START is a checkpoint that has them. Each one learns in RUN/EXPERT, with its log beside it in EXPERT.log, mostly from its
# own degradation, and from the others' photos where the router takes one for it. What they became goes into START:
# RUN/weights.safetensors, in 16 bits. A slice that was stopped goes on with the same command; MORE, if set, is further
# options of train, such as MORE="--set finetune.sampling.patch=320".
#
# All at the same time, since a step of this network waits for Python more than for a large GPU: three runs take little
# longer than one. They share the processor's cores evenly.
set -eu
if [ $# -lt 5 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi
pack=$1 start=$2 run=$3 minutes=$4
shift 4
workers=$(($(nproc) / $# - 1))
[ "$workers" -ge 1 ] || workers=1
ratios=
for degradation in blur haze jpeg low-light noise raindrop rain shadow snow inpainting; do
    ratios="$ratios --set finetune.sampling.ratios.$degradation=0.1"
done
mkdir -p "$run"
for expert; do
    # $ratios and $MORE are lists of words.
    # shellcheck disable=SC2086
    python3 -m lorair_cli train --setting 10task --scale compact --stage finetune --clean "$pack" --start-from "$start" \
        --out "$run/$expert" --minutes "$minutes" --workers "$workers" --cache "$run/decoded" \
        --set finetune.only="[\"$expert\"]" --set finetune.photos=14 --set finetune.learning_rate=8e-4 \
        --set finetune.loss_epsilon=3e-4 --set finetune.sampling.photo_sides='[384, 512]' \
        --set finetune.sampling.patch=384 --set finetune.sampling.untouched=0.1 --set finetune.sampling.composite=0 \
        $ratios --set "finetune.sampling.ratios.$expert=1" ${MORE:-} >"$run/$expert.log" 2>&1 &
done
wait
set -- "$@" --
while [ "$1" != -- ]; do
    expert=$1 made=$run/$1/finetune.safetensors
    shift
    if [ ! -f "$made" ]; then
        echo "$expert did not come to its end:" >&2
        tail -n 3 "$run/$expert.log" >&2
        exit 1
    fi
    set -- "$@" --experts "$expert=$made"
done
shift
python3 -m lorair_cli weights combine "$start" "$@" --any-router --half -o "$run/weights.safetensors" --overwrite
