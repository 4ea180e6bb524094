//! What a pipeline is called: the script, where an interpreter runs one.

use super::{Text, file_name};

/// An interpreter, and its options as far as they decide what it runs.
struct Interpreter {
    /// File name, without a version behind it.
    name: &'static str,
    /// Short options that are followed by code.
    code: &'static [u8],
    /// Short options that are followed by a value that is no script.
    with_value: &'static [u8],
    /// The short option that is followed by a module to run.
    module: Option<u8>,
}

const fn shell(name: &'static str) -> Interpreter {
    Interpreter { name, code: b"c", with_value: b"oO", module: None }
}

const fn python(name: &'static str) -> Interpreter {
    Interpreter { name, code: b"c", with_value: b"WX", module: Some(b'm') }
}

const fn other(name: &'static str, code: &'static [u8], with_value: &'static [u8]) -> Interpreter {
    Interpreter { name, code, with_value, module: None }
}

const INTERPRETERS: [Interpreter; 12] = [
    shell("sh"),
    shell("bash"),
    shell("dash"),
    shell("zsh"),
    shell("ksh"),
    python("python"),
    python("pypy"),
    other("perl", b"eE", b"IMm"),
    other("ruby", b"e", b"Ir"),
    other("node", b"ep", b"r"),
    other("Rscript", b"e", b""),
    other("tclsh", b"", b""),
];

/// The name of a pipeline that was started by the command line `argv`: the file name of its
/// program or, if that is an interpreter, of the script that it runs. Empty for no arguments.
///
/// ```
/// # use redirector::model::{Text, pipeline_name};
/// let argv = ["/usr/bin/python3", "/opt/bin/snakemake", "--cores", "8"].map(Text::from);
/// assert_eq!(pipeline_name(&argv), "snakemake");
/// ```
pub fn pipeline_name(argv: &[Text]) -> String {
    let Some((program, arguments)) = argv.split_first() else { return String::new() };
    let program = file_name(program.as_bytes());
    // A login shell has a dash before its name.
    let plain = program.strip_prefix('-').unwrap_or(&program);
    let unversioned = plain.trim_end_matches(|end: char| end.is_ascii_digit() || end == '.');
    INTERPRETERS
        .iter()
        .find(|interpreter| interpreter.name == unversioned)
        .and_then(|interpreter| interpreter.script(arguments))
        .unwrap_or(program)
}

impl Interpreter {
    /// The name of what it runs; `None` for code on its command line or on standard input.
    fn script(&self, arguments: &[Text]) -> Option<String> {
        let mut arguments = arguments.iter().map(Text::as_bytes);
        loop {
            let argument = arguments.next()?;
            let short = match argument {
                b"--" => return arguments.next().map(file_name),
                b"" | b"-" | b"--eval" => return None,
                [b'-', b'-', ..] => continue,
                [b'-', short @ ..] => short,
                _ => return Some(file_name(argument)),
            };
            // Options may be written as one word; what follows one with a value is the value.
            let value_at = short.iter().position(|option| self.with_value.contains(option));
            let options = &short[..value_at.unwrap_or(short.len())];
            if options.iter().any(|option| self.code.contains(option)) {
                return None;
            }
            if options.last().is_some() && options.last() == self.module.as_ref() {
                return arguments.next().map(|module| String::from_utf8_lossy(module).into_owned());
            }
            if value_at.is_some_and(|place| place + 1 == short.len()) {
                arguments.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_called_after_what_a_person_would_say_that_they_ran() {
        for (line, name) in [
            ("/usr/bin/python3 /usr/bin/snakemake --cores 8", "snakemake"),
            ("python3.11 -u -W ignore run.py", "run.py"),
            ("/usr/bin/python3 -m snakemake -j 4", "snakemake"),
            ("python -Im pkg.main", "pkg.main"),
            ("python3 -c import_x", "python3"),
            ("python3 -", "python3"),
            ("python3", "python3"),
            ("bash ./run.sh -c x", "run.sh"),
            ("/bin/bash -c cmd", "bash"),
            ("bash -elc cmd", "bash"),
            ("-bash", "-bash"),
            ("bash -eo pipefail run.sh", "run.sh"),
            ("bash --norc -- -odd.sh", "-odd.sh"),
            ("perl -I lib pipeline.pl a", "pipeline.pl"),
            ("perl -Mfeature=say -Ilib x.pl", "x.pl"),
            ("perl -ne print", "perl"),
            ("python3 -Werror run.py", "run.py"),
            ("Rscript --vanilla analysis.R", "analysis.R"),
            ("node --eval 1", "node"),
            ("/usr/bin/make -j 8", "make"),
            ("snakemake -c 8", "snakemake"),
            ("", ""),
        ] {
            let argv: Vec<Text> = line.split_whitespace().map(Text::from).collect();
            assert_eq!(pipeline_name(&argv), name, "{line}");
        }
    }
}
