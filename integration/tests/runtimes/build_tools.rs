//! Build tools, whose own parallelism and job servers must survive.

use integration::Missing;

use crate::rows::Rows;

#[test]
fn make() {
    Rows::of("make")
        .file("simple.mk", "simple", "all:\n\t@probe LABEL\n")
        .file("shell.mk", "shell", "all:\n\t@probe LABEL && true\n")
        .file("shell-function.mk", "function", "$(info $(shell probe LABEL))\nall:\n\t@true\n")
        .file("status.mk", "status", "all:\n\t@probe LABEL 7\n")
        .file("parallel.mk", "parallel", "all: a b\na b:\n\t@probe LABEL >$@.out\n")
        .file("recursive.mk", "recursive", "all:\n\t@$(MAKE) -s -f simple.mk; probe LABEL\n")
        .file("only-recursive.mk", "one-shell", ".ONESHELL:\nall:\n\t@cd /\n\tprobe LABEL\n")
        .row("simple", ["make", "-s", "-f", "simple.mk"])
        .row("shell", ["make", "-s", "-f", "shell.mk"])
        .row("function", ["make", "-s", "-f", "shell-function.mk"])
        .row("status", ["make", "-s", "-f", "status.mk"])
        .row_of_jobs(
            2,
            "parallel",
            ["sh", "-c", "make -s -j2 -B -f parallel.mk && cat a.out b.out"],
        )
        .row("one-shell", ["make", "-s", "-f", "only-recursive.mk"])
        .try_all();
}

#[test]
fn recursive_make() {
    Rows::of("recursive make")
        .file("inner.mk", "recursive", "all: a b\na b:\n\t@probe LABEL >$@.out; cat $@.out\n")
        .file("outer.mk", "", "all:\n\t@$(MAKE) -s -Oline -f inner.mk\n")
        .row_of_jobs(2, "recursive", ["make", "-s", "-j2", "-f", "outer.mk"])
        .try_all();
}

#[test]
fn ninja() {
    let Some(rows) = Rows::of_installed("ninja", &["ninja"], Missing::FailAfterSetup) else {
        return;
    };
    rows.file(
        "build.ninja",
        "ninja",
        "rule start\n command = probe LABEL > $out\nbuild a: start\nbuild b: start\n",
    )
    .row_of_jobs(2, "ninja", ["sh", "-c", "rm -f a b .ninja*; ninja --quiet && cat a b"])
    .try_all();
}
