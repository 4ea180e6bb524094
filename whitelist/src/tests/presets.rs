//! The presets against command lines as pipelines write them.

use std::vec::Vec;

use super::with_command;
use crate::{PER_UNIT, Rules, decide, presets, problems};

const M: u64 = 1 << 20;
const G: u64 = 1 << 30;

/// What a preset makes of a command.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It runs here.
    Here,
    /// It becomes a job with so many whole cpus and so many bytes of memory.
    Job(Option<u64>, Option<u64>),
}

use Outcome::{Here, Job};

#[track_caller]
fn assert_outcomes(preset: &str, table: &[(&str, Outcome)]) {
    let preset = presets().iter().find(|it| it.name == preset).unwrap();
    for (line, expected) in table {
        let outcome = with_command(line, |command| match decide(preset.text.as_bytes(), command) {
            Some((_, rule)) if rule.redirects() => {
                let request = rule.request(command);
                Job(request.cpus.map(|cpus| cpus / PER_UNIT), request.mem)
            }
            _ => Here,
        });
        assert_eq!(outcome, *expected, "{line}");
    }
}

#[test]
fn presets_have_no_mistakes() {
    for preset in presets() {
        let found: Vec<_> = problems(preset.text.as_bytes()).collect();
        assert!(found.is_empty(), "{}: {found:?}", preset.name);
        assert!(Rules::new(preset.text.as_bytes()).count() > 20, "{}", preset.name);
    }
}

#[test]
fn bioinformatics() {
    let cpus = |cpus| Job(Some(cpus), None);
    assert_outcomes(
        "bioinformatics",
        &[
            // bwa
            ("/usr/bin/bwa", Here),
            ("/usr/bin/bwa mem", Here),
            ("/usr/bin/bwa index ref.fa", cpus(1)),
            ("/usr/bin/bwa mem -t 8 -R '@RG\\tID:a' ref.fa a.fq b.fq", cpus(8)),
            ("/usr/bin/bwa mem -t8 ref.fa a.fq", cpus(8)),
            ("/usr/bin/bwa mem ref.fa a.fq", cpus(1)),
            ("/usr/bin/bwa-mem2 mem -t 4 ref.fa a.fq", cpus(4)),
            ("/usr/bin/bwa shm -l", Here),
            // samtools and bcftools
            ("/usr/bin/samtools", Here),
            ("/usr/bin/samtools --version", Here),
            ("/usr/bin/samtools sort -h", Here),
            ("/usr/bin/samtools sort --help", Here),
            ("/usr/bin/samtools view -H a.bam", Here),
            ("/usr/bin/samtools view --header-only a.bam", Here),
            ("/usr/bin/samtools view -@ 2 -H a.bam", Here),
            ("/usr/bin/samtools view -h a.bam chr1", cpus(1)),
            ("/usr/bin/samtools view -@3 -b -o b.bam a.sam", cpus(4)),
            ("/usr/bin/samtools sort", Job(Some(1), Some(768 * M))),
            ("/usr/bin/samtools sort -@ 3 -o b.bam a.bam", Job(Some(4), Some(3 * G))),
            ("/usr/bin/samtools sort --threads=7 -m 2G a.bam", Job(Some(8), Some(16 * G))),
            ("/usr/bin/samtools sort -@1 -m2G /dev/stdin", Job(Some(2), Some(4 * G))),
            ("/usr/bin/samtools index -@ 4 a.bam", cpus(5)),
            ("/usr/bin/samtools flagstat a.bam", cpus(1)),
            ("/usr/bin/samtools markdup -@ 2 a.bam b.bam", cpus(3)),
            ("/usr/bin/samtools quickcheck a.bam", Here),
            ("/usr/bin/bcftools --version", Here),
            ("/usr/bin/bcftools mpileup -f ref.fa a.bam", cpus(1)),
            ("/usr/bin/bcftools call --threads 2 -mv", cpus(3)),
            ("/usr/bin/bcftools view -h a.vcf", Here),
            ("/usr/bin/bcftools view -H a.vcf", cpus(1)),
            ("/usr/bin/bcftools sort -m 2G a.vcf", Job(Some(1), Some(2 * G + 256 * M))),
            ("/usr/bin/bcftools sort a.vcf", Job(Some(1), Some(G))),
            ("/usr/bin/bcftools query -l a.vcf", Here),
            ("/usr/bin/bcftools query -f '%POS\\n' a.vcf", cpus(1)),
            ("/usr/bin/bcftools index -t a.vcf.gz", cpus(1)),
            ("/usr/bin/bcftools index --nrecords a.vcf.gz", Here),
            // other aligners
            ("minimap2 -ax sr ref.fa a.fq", cpus(3)),
            ("minimap2 -t16 -ax map-ont ref.fa a.fq", cpus(16)),
            ("minimap2 --version", Here),
            ("bowtie2 -p 6 -x index -U a.fq", cpus(6)),
            ("bowtie2 --threads 6 -x index -U a.fq", cpus(6)),
            ("bowtie2-build --threads 2 -p ref.fa index", cpus(2)),
            ("hisat2 -p 4 -x index -U a.fq", cpus(4)),
            ("hisat2-build -p 4 ref.fa index", cpus(4)),
            ("STAR --runThreadN 12 --genomeDir g --readFilesIn a.fq", cpus(12)),
            ("STAR --version", Here),
            // Java
            ("gatk", Here),
            ("gatk --list", Here),
            ("gatk HaplotypeCaller --help", Here),
            ("gatk MarkDuplicates -I a.bam", cpus(1)),
            (
                "gatk --java-options '-Xmx8g -XX:+UseParallelGC' HaplotypeCaller -I a.bam",
                Job(Some(4), Some(9 * G)),
            ),
            (
                "gatk --java-options -Xmx4096m Mutect2 --native-pair-hmm-threads 2",
                Job(Some(2), Some(5 * G)),
            ),
            ("gatk --java-options -Xmx8g MarkDuplicatesSpark -I a", Job(None, Some(9 * G))),
            ("picard -Xmx2g SortSam I=a.bam O=b.bam", Job(Some(1), Some(3 * G))),
            (
                "/usr/bin/java -Xmx4g -jar /opt/picard-2.18.jar MarkDuplicates I=a",
                Job(Some(1), Some(5 * G)),
            ),
            ("/usr/bin/java -jar trimmomatic-0.39.jar PE -threads 4 a b", cpus(4)),
            ("/usr/bin/java -jar GenomeAnalysisTK.jar -T X -nct 2 -nt 3", cpus(6)),
            ("/usr/bin/java -Xmx1g -jar other.jar", Job(None, Some(2 * G))),
            ("/usr/bin/java -jar /opt/cromwell-85.jar run x.wdl", Here),
            ("/usr/bin/java -version", Here),
            ("/usr/bin/java -cp a.jar Main", Here),
            ("snpEff -Xmx8g ann GRCh38 a.vcf", Job(None, Some(9 * G))),
            // the rest
            ("fastqc -t 4 a.fq b.fq", Job(Some(4), Some(2304 * M))),
            ("fastqc --version", Here),
            ("fastqc -v", Here),
            ("fastp -i a.fq -o b.fq", cpus(3)),
            ("fastp -w 8 -i a.fq -o b.fq", cpus(8)),
            ("cutadapt -j 0 -a ACGT a.fq", Job(None, None)),
            ("cutadapt --cores=4 -a ACGT a.fq", cpus(4)),
            ("salmon index -t t.fa -i index", cpus(2)),
            ("salmon quant -i index -p 8 -l A -r a.fq", cpus(8)),
            ("kallisto quant -i index -o out -t 4 a.fq b.fq", cpus(4)),
            ("featureCounts -T 4 -a a.gtf -o c.txt a.bam", cpus(4)),
            ("stringtie a.bam -p 8 -o a.gtf", cpus(8)),
            ("sambamba sort -t 4 -m 6G a.bam", Job(Some(4), Some(6 * G + 512 * M))),
            ("mosdepth -t 3 out a.bam", cpus(4)),
            ("blastn -query a.fa -db nt -num_threads 16", cpus(16)),
            ("blastn -version", Here),
            ("diamond blastp -p 8 -d nr -q a.fa", cpus(8)),
            ("diamond version", Here),
            ("kraken2 --threads 8 --db k a.fq", cpus(8)),
            ("bracken -d k -i a.report -o b -t 10", cpus(1)),
            ("megahit -1 a -2 b -t 8 -o out", cpus(8)),
            ("spades.py -1 a -2 b -o out", Job(Some(16), None)),
            ("metaspades.py -t 8 -m 100 -o out", Job(Some(8), Some(100 * G))),
            ("hmmsearch --cpu 4 a.hmm b.fa", cpus(4)),
            ("mafft --thread -1 a.fa", Job(None, None)),
            ("mafft --thread 4 a.fa", cpus(4)),
            ("raxml-ng --msa a.phy --threads 4", cpus(4)),
            ("iqtree2 -s a.phy -T AUTO", Job(None, None)),
            ("iqtree -s a.phy -nt 4", cpus(4)),
            ("vep -i a.vcf --fork 4", cpus(4)),
            ("bamCoverage -b a.bam -o a.bw -p 8", cpus(8)),
            ("bamCoverage -b a.bam -o a.bw -p max", Job(None, None)),
            ("/bin/cat a.fq", Here),
            ("/usr/bin/python3 bwa mem", Here),
        ],
    );
}

#[test]
fn build_tools() {
    let job = || Job(Some(1), None);
    assert_outcomes(
        "build-tools",
        &[
            ("/usr/bin/gcc -O2 -c a.c -o a.o", job()),
            ("/usr/bin/gcc -o program a.o b.o -lm", job()),
            ("/usr/bin/gcc -MD -MF a.d -c a.c -o a.o", job()),
            ("/usr/bin/g++-12 -std=c++20 -c a.cc", job()),
            ("/usr/bin/aarch64-linux-gnu-gcc -c a.c", job()),
            ("/usr/bin/cc -c a.c", job()),
            ("/usr/bin/clang++-16 -c a.cc", job()),
            ("/usr/bin/gcc --version", Here),
            ("/usr/bin/gcc -v", Here),
            ("/usr/bin/gcc -dumpmachine", Here),
            ("/usr/bin/gcc -print-file-name=libc.so", Here),
            ("/usr/bin/gcc -E a.c -o a.i", Here),
            ("/usr/bin/gcc -MM a.c -o a.d", Here),
            ("/usr/bin/gcc -Werror -c -x c /dev/null -o x", Here),
            ("/usr/bin/ld -r -o a.o b.o", job()),
            ("/usr/bin/ld -v", Here),
            ("/usr/bin/ld.lld --version", Here),
            ("rustc --crate-name a --edition=2024 src/lib.rs --emit=link --out-dir x", job()),
            ("rustc - --crate-name ___ --print=file-names", Here),
            ("rustc -vV", Here),
            ("/usr/bin/make -j8", Here),
        ],
    );
}
