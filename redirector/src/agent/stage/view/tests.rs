//! Views of this computer's files, entered by a child.

use std::{
    collections::BTreeMap,
    os::unix::{fs::MetadataExt, process::CommandExt},
};

use tempfile::TempDir;

use super::*;

/// A host, and a job on it.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        world.write("both/of-the-host", "host");
        world.write("both/inner/of-the-host", "host");
        symlink("of-the-host", world.path("both/link")).unwrap();
        fs::set_permissions(world.path("both"), Permissions::from_mode(0o750)).unwrap();
        for (path, content) in [("both/run/in", "input"), ("new/deep/ref", "reference")] {
            world.write(&world.in_tree(path), content);
        }
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// As it is below [`World::path`].
    fn in_tree(&self, path: &str) -> String {
        format!("job/root{}/{path}", self.0.path().display())
    }

    fn write(&self, path: &str, content: &str) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn manifest(&self) -> Manifest {
        let whole = |path: &str| WholePath::new(self.path(path).as_os_str().as_bytes()).unwrap();
        let file = || Thing::File {
            digest: crate::stage::Digest([0; 32]),
            size: 0,
            mode: 0o644,
            changed: 0,
        };
        let things = BTreeMap::from([
            (whole("both/run"), Thing::Directory),
            (whole("both/run/in"), file()),
            (whole("new/deep/ref"), file()),
        ]);
        Manifest { directory: whole("both/run"), things, program: None, cache_size: None }
    }
}

#[test]
fn a_command_sees_its_tree_where_the_files_are() {
    for way in WAYS {
        let world = World::new();
        let view = View::of(&world.manifest(), &[]).unwrap();
        let (job, own) = (world.path("job"), world.0.path().to_owned());
        let script = r#"
            pwd; cat in ../of-the-host ../link ../inner/of-the-host; cat "$0/new/deep/ref"; ls ..
            stat -c %a ..; id -u; test -e /proc/self/exe && test -c /dev/null && echo usual
            echo out >out; echo more >>"$0/new/deep/ref"; echo host >../inner/made; echo gone >../x
        "#;
        let mut command = Command::new("/bin/sh");
        command.args(["-ec", script]).arg(&own);
        // SAFETY: the child of a process with several threads may do little, as others may have
        // held locks; the C library's own are free there, and nothing here takes another.
        unsafe { command.pre_exec(move || view.enter(&job, &[way])) };
        let output = match command.output() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                println!("skipped: {way:?} is forbidden here");
                continue;
            }
            output => output.unwrap(),
        };
        let user = fs::metadata(&own).unwrap().uid();
        let expected = format!(
            "{}/both/run\ninputhosthosthostreferenceinner\nlink\nof-the-host\nrun\n750\n{user}\nusual\n",
            own.display()
        );
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{way:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{way:?}");
        let read = |path: String| fs::read_to_string(world.path(&path)).unwrap();
        assert_eq!(read(world.in_tree("both/run/out")), "out\n");
        assert_eq!(read(world.in_tree("new/deep/ref")), "referencemore\n");
        assert_eq!(read("both/inner/made".to_owned()), "host\n");
        assert!(!world.path("both/x").exists() && !world.path("new").exists());
        // Nothing is mounted for anybody else.
        fs::remove_dir_all(world.path("job")).unwrap();
        assert_eq!(read("both/inner/of-the-host".to_owned()), "host");
    }
}

#[test]
fn what_the_host_needs_is_not_hidden() {
    let world = World::new();
    let manifest = world.manifest();
    let is_there = |needed: &str| View::of(&manifest, &[world.path(needed)]).is_some();
    assert!(is_there("both/of-the-host"));
    assert!(is_there("both/run/tool"), "it is not on the host either");
    world.write("both/run/tool", "tool");
    assert!(!is_there("both/run/tool"));
    let at_root = Manifest { directory: WholePath::root(), ..manifest.clone() };
    assert_eq!(View::of(&at_root, &[]), None);
}

#[test]
fn a_view_that_cannot_be_entered_is_a_problem_of_the_job() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(problem(directory.path()), None);
    enter(directory.path()).unwrap_err();
    assert!(problem(directory.path()).unwrap().contains("No such file"));
}
