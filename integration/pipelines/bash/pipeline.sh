#!/usr/bin/env bash
# Align, sort, call: plain bash, with pipes, redirections and background jobs.
# usage: pipeline.sh DATA_DIRECTORY OUT_DIRECTORY [PARALLEL]
#
# --no-version keeps bcftools from writing the date into its files, so that two runs of this
# pipeline can be compared byte by byte.
set -euo pipefail

data=$(cd "${1:?usage: pipeline.sh DATA_DIRECTORY OUT_DIRECTORY [PARALLEL]}" && pwd)
out=${2:?usage: pipeline.sh DATA_DIRECTORY OUT_DIRECTORY [PARALLEL]}
parallel=${3:-2}

align() {
    local sample=$1
    bwa mem -t 1 -R "@RG\tID:$sample\tSM:$sample" ref.fa \
        "$data/${sample}_1.fq.gz" "$data/${sample}_2.fq.gz" 2>"$sample.bwa.log" |
        samtools sort -T "$sample.tmp" -o "$sample.bam" - 2>"$sample.sort.log"
    samtools index "$sample.bam"
    samtools flagstat "$sample.bam" >"$sample.flagstat"
}

call() {
    local chromosome=$1
    shift
    bcftools mpileup --no-version -Ou -r "$chromosome" -f ref.fa "$@" 2>"$chromosome.mpileup.log" |
        bcftools call --no-version --ploidy 2 -mv -Oz -o "$chromosome.vcf.gz"
    bcftools index -f "$chromosome.vcf.gz"
}

# in_parallel LIST COMMAND...: COMMAND with each word of the file LIST, $parallel at a time;
# fails when one of them failed.
in_parallel() {
    local list=$1 word running=0 failed=0
    shift
    while read -r word; do
        if ((running == parallel)); then
            wait -n || failed=1
            running=$((running - 1))
        fi
        "$1" "$word" "${@:2}" &
        running=$((running + 1))
    done <"$list"
    for (( ; running > 0; running--)); do wait -n || failed=1; done
    return "$failed"
}

mkdir -p "$out" && cd "$out"
cp "$data/ref.fa" ref.fa
bwa index ref.fa 2>bwa-index.log
samtools faidx ref.fa

in_parallel "$data/samples.txt" align

mapfile -t bams < <(sed 's/$/.bam/' "$data/samples.txt")
in_parallel "$data/chroms.txt" call "${bams[@]}"

mapfile -t vcfs < <(sed 's/$/.vcf.gz/' "$data/chroms.txt")
bcftools concat --no-version -Oz -o all.vcf.gz "${vcfs[@]}" 2>concat.log
bcftools index -f all.vcf.gz
bcftools stats all.vcf.gz >all.stats
bcftools view -H all.vcf.gz | wc -l >variants.txt
