#!/usr/bin/env bash
# Is what a pipeline left in OUT_DIRECTORY right?
# usage: check.sh DATA_DIRECTORY OUT_DIRECTORY
#
# Prints one line per sample and, last, a fingerprint of the results: the same for every driver
# and for every place where the commands ran. Exits 1 with the reason when something is wrong.
set -euo pipefail

data=${1:?usage: check.sh DATA_DIRECTORY OUT_DIRECTORY}
out=${2:?usage: check.sh DATA_DIRECTORY OUT_DIRECTORY}

fail() {
    echo "check.sh: $*" >&2
    exit 1
}

# SNVs that were put into a sample's reads: position and two single bases.
true_snvs() { awk 'length($3) == 1 && length($4) == 1 && $3 != "-" && $4 != "-" { print $1 "\t" $2 }' "$data/$1.truth" | sort -u; }
# SNVs that were found in it.
found_snvs() {
    bcftools view -s "$1" -v snps -i 'GT="alt"' "$out/all.vcf.gz" 2>/dev/null |
        bcftools query -f '%CHROM\t%POS\n' | sort
}

variants=$(<"$out/variants.txt")
((variants > 0)) || fail "no variants in $out/variants.txt"
counted=$(bcftools view -H "$out/all.vcf.gz" | wc -l)
((variants == counted)) || fail "variants.txt says $variants, all.vcf.gz has $counted"

while read -r sample; do
    samtools quickcheck "$out/$sample.bam" || fail "$out/$sample.bam is damaged"
    there=$(true_snvs "$sample" | wc -l)
    hits=$(comm -12 <(found_snvs "$sample") <(true_snvs "$sample") | wc -l)
    echo "$sample: $hits of $there true SNVs found"
    ((hits * 10 >= there * 7)) || fail "$sample: fewer than 7 in 10 of the true SNVs"
done <"$data/samples.txt"

{
    bcftools view -H "$out/all.vcf.gz"
    while read -r sample; do
        samtools view "$out/$sample.bam"
        cat "$out/$sample.flagstat"
    done <"$data/samples.txt"
} | md5sum | cut -d' ' -f1
