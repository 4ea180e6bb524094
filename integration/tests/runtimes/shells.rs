//! Shells.

use integration::Missing;

use crate::rows::Rows;

#[test]
fn bash() {
    Rows::of("bash")
        .file("without-shebang", "no-shebang", "probe LABEL\n")
        .row("only-command", ["bash", "-c", "probe LABEL"])
        .row("last-command", ["bash", "-c", "true; probe LABEL 7"])
        .row("fork", ["bash", "-c", "probe LABEL 7; echo $?"])
        .row("exec", ["bash", "-c", "exec probe LABEL"])
        .row("exec-name", ["bash", "-c", "exec -a another-name probe LABEL"])
        .row("pipe", ["bash", "-c", "probe LABEL | cat"])
        .row_of_jobs(2, "pipe-of-two", ["bash", "-c", "probe LABEL | { cat; probe LABEL; }"])
        .row("background", ["bash", "-c", "probe LABEL 7 & wait $!; echo $?"])
        .row("substitution", ["bash", "-c", "echo \"$(probe LABEL)\""])
        .row("process-substitution", ["bash", "-c", "cat <(probe LABEL)"])
        .row("subshell", ["bash", "-c", "(cd /; probe LABEL)"])
        .row("function", ["bash", "-c", "f() { PROBE_MARK=changed probe \"$@\"; }; f LABEL"])
        .row("path", ["bash", "-c", "\"$(command -v probe)\" LABEL"])
        .row("no-shebang", ["bash", "-c", "chmod +x without-shebang; ./without-shebang"])
        .row("pipefail", ["bash", "-c", "set -o pipefail; probe LABEL 7 | cat; echo $?"])
        .try_all();
}

#[test]
fn dash() {
    Rows::of("dash")
        .file("without-shebang", "no-shebang", "probe LABEL\n")
        .row("only-command", ["dash", "-c", "probe LABEL"])
        .row("last-command", ["dash", "-c", "true; probe LABEL 7"])
        .row("fork", ["dash", "-c", "probe LABEL 7; echo $?"])
        .row("exec", ["dash", "-c", "exec probe LABEL"])
        .row("pipe", ["dash", "-c", "probe LABEL | cat"])
        .row("background", ["dash", "-c", "probe LABEL 7 & wait $!; echo $?"])
        .row("substitution", ["dash", "-c", "echo \"$(probe LABEL)\""])
        .row("no-shebang", ["dash", "-c", "chmod +x without-shebang; ./without-shebang"])
        .try_all();
}

#[test]
fn zsh() {
    let Some(rows) = Rows::of_installed("zsh", &["zsh"], Missing::FailAfterSetup) else { return };
    rows.row("only-command", ["zsh", "-fc", "probe LABEL"])
        .row("fork", ["zsh", "-fc", "probe LABEL 7; echo $?"])
        .row("exec", ["zsh", "-fc", "exec probe LABEL"])
        .row("exec-name", ["zsh", "-fc", "exec -a another-name probe LABEL"])
        .row("pipe", ["zsh", "-fc", "probe LABEL | cat"])
        .row("substitution", ["zsh", "-fc", "echo \"$(probe LABEL)\""])
        .row("process-substitution", ["zsh", "-fc", "cat <(probe LABEL)"])
        .row("temporary-file", ["zsh", "-fc", "grep -v argv.0 =(probe LABEL)"])
        .try_all();
}
