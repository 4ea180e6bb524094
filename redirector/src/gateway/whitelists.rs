//! Says, once a run, what is wrong with the whitelists that the run uses.

use std::fs;

use crate::model::Text;

/// At most this many lines are reported; the rest by number.
const MOST: usize = 10;

/// A line per bad rule and per file that cannot be read.
pub(super) fn warnings(files: &[Text]) -> Vec<String> {
    let mut warnings = Vec::new();
    for file in files {
        let name = file.to_string_lossy();
        match fs::read(file.as_path()) {
            Ok(text) => warnings.extend(whitelist::problems(&text).map(|(line, problem)| {
                format!("{name}:{line}:{}: {problem}; this line is skipped", problem.column)
            })),
            Err(error) => warnings.push(format!("whitelist {name} is not used: {error}")),
        }
    }
    if warnings.len() > MOST {
        let more = warnings.len() - MOST;
        warnings.truncate(MOST);
        warnings.push(format!("{more} more problems; 'redirector whitelist check' lists all"));
    }
    warnings
}
