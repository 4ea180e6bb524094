//! The whitelists that count here, and the programs that they name.

use std::{fs, path::PathBuf};

use super::Finding;
use crate::model::Text;

const CHECK: &str = "whitelist";

/// Most bad lines that are told.
const MOST: usize = 5;

/// What was read.
pub(super) struct Whitelists {
    /// One for each file.
    pub findings: Vec<Finding>,
    /// Names and paths of programs whose commands become jobs, as the rules have them; those
    /// with wildcards are not among them.
    pub programs: Vec<Text>,
}

/// Reads `files`.
pub(super) fn read(files: Option<Vec<PathBuf>>) -> Whitelists {
    let mut whitelists = Whitelists { findings: Vec::new(), programs: Vec::new() };
    let files = files.unwrap_or_default();
    if files.is_empty() {
        whitelists.findings.push(Finding::warning(
            CHECK,
            "there is none, so every command runs here",
            "'redirector whitelist preset bioinformatics > ~/.config/redirector/whitelist' makes \
             one; 'redirector whitelist path' shows where they are looked for",
        ));
    }
    for file in files {
        let name = file.display().to_string();
        match fs::read(&file) {
            Ok(text) => whitelists.add(&name, &text),
            Err(error) => whitelists.findings.push(Finding::failed(
                CHECK,
                format!("{name} cannot be read: {error}"),
                "make it readable, or correct REDIRECTOR_WHITELIST",
            )),
        }
    }
    whitelists
}

impl Whitelists {
    fn add(&mut self, name: &str, text: &[u8]) {
        let (mut rules, mut problems) = (0, Vec::new());
        for (line, rule) in whitelist::Rules::new(text) {
            match rule {
                Ok(rule) => {
                    rules += 1;
                    self.add_program(&rule);
                }
                Err(problem) => problems.push(format!("{line}:{}: {problem}", problem.column)),
            }
        }
        let found = format!("{name}: {rules} rules");
        if problems.is_empty() {
            return self.findings.push(Finding::ok(CHECK, found));
        }
        let count = problems.len();
        problems.truncate(MOST);
        let advice = "correct these lines, which are skipped until then; 'redirector whitelist \
                      check' shows all of them";
        let found = format!("{found}, and {count} lines that are none: {}", problems.join("; "));
        self.findings.push(Finding::failed(CHECK, found, advice));
    }

    fn add_program(&mut self, rule: &whitelist::Rule) {
        let program = rule.only_program().filter(|_| rule.redirects());
        let Some(program) = program.map(|bytes| Text(bytes.collect())) else { return };
        if !self.programs.contains(&program) {
            self.programs.push(program);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn rules_are_counted_and_their_programs_known() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("whitelist");
        fs::write(&file, "bwa mem\nbwa index\n'my tool' x\n!samtools\n*sort\n/opt/a\\*b\n")
            .unwrap();
        let read = |file: &PathBuf| read(Some(vec![file.clone()]));
        let whitelists = read(&file);
        let programs: Vec<Text> = vec!["bwa".into(), "my tool".into(), "/opt/a*b".into()];
        assert_eq!(whitelists.programs, programs);
        assert_eq!(whitelists.findings[0].verdict, Verdict::Ok);
        assert!(whitelists.findings[0].found.ends_with("6 rules"), "{:?}", whitelists.findings);

        fs::write(&file, "bwa mem cpus=many\nls\n").unwrap();
        let whitelists = read(&file);
        let Finding { verdict, found, .. } = &whitelists.findings[0];
        assert_eq!(*verdict, Verdict::Failed);
        assert!(found.contains(": 1 rules, and 1 lines") && found.contains("1:14: "), "{found}");

        let missing = read(&directory.path().join("missing"));
        assert_eq!(missing.findings[0].verdict, Verdict::Failed);
    }

    #[test]
    fn without_a_whitelist_nothing_happens() {
        assert_eq!(read(None).findings[0].verdict, Verdict::Warning);
    }
}
