//! The files under test: `libshim.so` and `redirector`.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The built files that the tests put to work.
#[derive(Clone, Debug)]
pub struct Artefacts {
    /// The preload library.
    pub libshim: PathBuf,
    /// The program.
    pub redirector: PathBuf,
    /// What `libshim.so` starts in a command's place: that one, or the one that starts quicker.
    pub stand_in: PathBuf,
}

impl Artefacts {
    /// The files of the same build profile as the running test, or those in
    /// `$REDIRECTOR_TEST_ARTEFACTS` (to test an installed copy).
    ///
    /// # Panics
    ///
    /// When one of them is not built; the message says how to build it.
    pub fn find() -> Self {
        let directory =
            env::var_os("REDIRECTOR_TEST_ARTEFACTS").map_or_else(profile_directory, PathBuf::from);
        let built = |name: &str| {
            let file = directory.join(name);
            assert!(
                file.is_file(),
                "{} is not built: run 'cargo build{} --workspace' and then the tests again",
                file.display(),
                if directory.ends_with("release") { " --release" } else { "" },
            );
            file
        };
        let redirector = built("redirector");
        let quicker = directory.join("redirector-exec");
        let stand_in = if quicker.is_file() { quicker } else { redirector.clone() };
        Self { libshim: built("libshim.so"), redirector, stand_in }
    }
}

/// `target/<profile>`, or `target/<tuple>/<profile>`: test executables are in its `deps`.
fn profile_directory() -> PathBuf {
    let test = env::current_exe().expect("the running test has a path");
    let deps = test.parent().expect("an executable is in a directory");
    let profile = if deps.ends_with("deps") { deps.parent() } else { Some(deps) };
    profile.map(Path::to_path_buf).expect("deps is inside of the profile's directory")
}
