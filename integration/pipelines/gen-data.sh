#!/usr/bin/env bash
# Makes a small reference and paired reads: the same bytes every time.
# usage: gen-data.sh DIRECTORY [SAMPLES [CHROMOSOMES [BASES_PER_CHROMOSOME [READ_PAIRS]]]]
#
# DIRECTORY/ref.fa, and for each sample in samples.txt: SAMPLE_1.fq.gz, SAMPLE_2.fq.gz and
# SAMPLE.truth, the variants that were put into its reads. The chromosomes are in chroms.txt.
set -euo pipefail

directory=${1:?usage: gen-data.sh DIRECTORY [SAMPLES [CHROMOSOMES [BASES [READ_PAIRS]]]]}
samples=${2:-3} chromosomes=${3:-2} bases=${4:-50000} pairs=${5:-5000}

# awk's generator differs between awks, python's does not between versions.
reference() {
    python3 - "$chromosomes" "$bases" <<'PYTHON'
import random, sys

chromosomes, bases = map(int, sys.argv[1:])
generator = random.Random(20240607)
for number in range(1, chromosomes + 1):
    print(f">chr{number}")
    sequence = "".join(generator.choices("ACGT", k=bases))
    for start in range(0, bases, 70):
        print(sequence[start : start + 70])
PYTHON
}

# Reads of one individual: SNVs and short indels (-r, -R), sequencing errors (-e).
reads() {
    local sample=$1 seed=$2
    wgsim -S "$seed" -N "$pairs" -1 100 -2 100 -e 0.005 -r 0.001 -R 0.1 \
        "$directory/ref.fa" "$directory/${sample}_1.fq" "$directory/${sample}_2.fq" \
        >"$directory/$sample.truth" 2>/dev/null
    gzip -nf "$directory/${sample}_1.fq" "$directory/${sample}_2.fq"
}

mkdir -p "$directory"
reference >"$directory/ref.fa"
for ((number = 1; number <= samples; number++)); do
    reads "s$number" $((1000 + number))
    echo "s$number"
done >"$directory/samples.txt"
for ((number = 1; number <= chromosomes; number++)); do
    echo "chr$number"
done >"$directory/chroms.txt"
