//! Whitelists that come with the program, ready to use or to start from.

/// A whitelist for one field of work.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What it is called: its file name without `.whitelist`.
    pub name: &'static str,
    /// The rules.
    pub text: &'static str,
}

/// All of them.
pub const fn presets() -> &'static [Preset] {
    &[
        Preset {
            name: "bioinformatics",
            text: include_str!("../presets/bioinformatics.whitelist"),
        },
        Preset { name: "build-tools", text: include_str!("../presets/build-tools.whitelist") },
    ]
}
