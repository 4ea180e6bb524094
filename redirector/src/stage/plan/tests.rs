use proptest::prelude::*;

use super::*;
use crate::stage::{Manifest, Thing};

/// A file system in memory.
#[derive(Debug, Default)]
struct Files(BTreeMap<WholePath, Found>);

impl View for Files {
    fn look(&self, path: &WholePath) -> io::Result<Option<Found>> {
        Ok(self.0.get(path).cloned())
    }

    fn names(&self, directory: &WholePath) -> io::Result<Vec<Vec<u8>>> {
        let inside = self.0.keys().filter_map(|path| path.split());
        Ok(inside
            .filter(|(parent, _)| parent == directory)
            .map(|(_, name)| name.to_vec())
            .collect())
    }
}

fn path(text: &str) -> WholePath {
    WholePath::new(text.as_bytes()).unwrap()
}

fn file() -> Found {
    let stamp = Stamp { device: 1, inode: 1, size: 1, changed: 1, touched: 1 };
    Found::File { stamp, mode: 0o644 }
}

impl Files {
    /// Paths of files; those with an arrow are links.
    fn new(files: &[&str]) -> Self {
        let mut own = Self::default();
        own.0.insert(path("/run"), Found::Directory);
        for text in files {
            match text.split_once(" -> ") {
                Some((link, target)) => own.add(link, Found::Symlink { target: target.into() }),
                None => own.add(text, file()),
            }
        }
        own
    }

    fn add(&mut self, text: &str, found: Found) {
        let path = path(text);
        let mut above = path.parent();
        while let Some(directory) = above {
            above = directory.parent();
            self.0.entry(directory).or_insert(Found::Directory);
        }
        self.0.insert(path, found);
    }

    fn plan(&self, arguments: &[&str]) -> Plan {
        let argv = ["program"].iter().chain(arguments).map(|text| Text::from(*text));
        Plan::new(&argv.collect::<Vec<_>>(), &Text::from("/run"), self, |_| false).unwrap()
    }

    /// Things of a plan but for directories, and the arguments for a tree at `/T`.
    fn planned(&self, arguments: &[&str]) -> (Vec<String>, Vec<String>) {
        let plan = self.plan(arguments);
        let things = plan.things.iter().filter(|(_, found)| **found != Found::Directory);
        let things = things.map(|(path, _)| path.to_string()).collect();
        let argv = plan.arguments(Some(b"/T"), Text::clone);
        (things, argv[1..].iter().map(|text| text.to_string_lossy().into_owned()).collect())
    }
}

#[test]
fn arguments_name_inputs_in_many_ways() {
    let files = Files::new(&["/run/in", "/run/a=b", "/data/x", "/data/y", "/usr/share/z"]);
    let cases: [(&str, &[&str], &str); 16] = [
        ("in", &["/run/in"], "in"),
        ("./in", &["/run/in"], "./in"),
        ("a=b", &["/run/a=b"], "a=b"),
        ("I=in", &["/run/in"], "I=in"),
        ("-Iin", &["/run/in"], "-Iin"),
        ("@in", &["/run/in"], "@in"),
        ("/data/x", &["/data/x"], "/T/data/x"),
        ("--ref=/data/x", &["/data/x"], "--ref=/T/data/x"),
        ("-I/data/x", &["/data/x"], "-I/T/data/x"),
        ("/data/x,/data/y", &["/data/x", "/data/y"], "/T/data/x,/T/data/y"),
        ("--l=/data/x:/data/new", &["/data/x"], "--l=/T/data/x:/T/data/new"),
        ("../data/x", &["/data/x"], "../data/x"),
        ("/run/../data/x", &["/data/x"], "/T/data/x"),
        ("../../../data/x", &["/data/x"], "/T/data/x"),
        ("/usr/share/z", &[], "/usr/share/z"),
        ("../usr/share/z", &[], "/usr/share/z"),
    ];
    for (argument, inputs, there) in cases {
        let (things, argv) = files.planned(&[argument]);
        assert_eq!(
            (&*things, &*argv),
            (&inputs.map_to_strings()[..], &[there.to_owned()][..]),
            "{argument}"
        );
    }
}

trait Strings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl Strings for &[&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn what_is_no_path_stays_as_it_is() {
    let files = Files::new(&["/run/in"]);
    for argument in ["-", "--threads=4", "/x", "s/a/b/", "@RG\\tID:1", "a:b", "/nowhere/x", "", "="]
    {
        let (things, argv) = files.planned(&[argument]);
        assert_eq!((things, argv), (Vec::new(), vec![argument.to_owned()]));
    }
}

#[test]
fn files_beside_an_input_belong_to_it() {
    let files = Files::new(&[
        "/run/ref.fa",
        "/run/ref.fa.bwt",
        "/run/ref.fa.fai",
        "/run/ref.dict",
        "/run/ref.txt",
        "/run/reference.fa",
        "/run/a.bam",
        "/run/a.bai",
        "/run/index.1.bt2",
        "/run/index.2.bt2",
    ]);
    let (things, _) = files.planned(&["ref.fa"]);
    assert_eq!(things, ["/run/ref.dict", "/run/ref.fa", "/run/ref.fa.bwt", "/run/ref.fa.fai"]);
    assert_eq!(files.planned(&["a.bam"]).0, ["/run/a.bai", "/run/a.bam"]);
    assert_eq!(files.planned(&["-x", "index"]).0, ["/run/index.1.bt2", "/run/index.2.bt2"]);
}

#[test]
fn links_and_what_they_lead_to_are_inputs() {
    let files = Files::new(&[
        "/run/ref.fa -> ../lib1/genome.fa",
        "/run/ref.fa.fai -> /lib1/genome.fa.fai",
        "/lib1/genome.fa -> /disk/g",
        "/disk/g",
        "/lib1/genome.fa.fai",
        "/run/loop -> loop",
        "/run/set -> /disk",
        "/run/sys -> ../usr/share/x",
        "/run/up -> ../../../disk/g",
    ]);
    let (things, argv) = files.planned(&["/run/ref.fa"]);
    assert_eq!(
        things,
        ["/disk/g", "/lib1/genome.fa", "/lib1/genome.fa.fai", "/run/ref.fa", "/run/ref.fa.fai",]
    );
    assert_eq!(argv, ["/T/run/ref.fa"]);
    assert_eq!(files.planned(&["loop"]).0, Vec::<String>::new());
    assert_eq!(files.planned(&["set"]).0, ["/disk/g", "/run/set"]);
    let target = |link: &str| match files.plan(&[link]).things.get(&path(&format!("/run/{link}"))) {
        Some(Found::Symlink { target }) => target.to_string_lossy().into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(target("sys"), "/usr/share/x");
    assert_eq!(target("up"), "/disk/g");
    assert_eq!(target("ref.fa"), "../lib1/genome.fa");
}

#[test]
fn directories_are_taken_with_all_in_them_but_not_those_of_the_whole_pipeline() {
    let files = Files::new(&[
        "/run/set/1",
        "/run/set/deep/2",
        "/run/in",
        "/tmp/other",
        "/run/set/deep/up -> ..",
    ]);
    let (things, _) = files.planned(&["set"]);
    assert_eq!(things, ["/run/set/1", "/run/set/deep/2", "/run/set/deep/up"]);
    for argument in [".", "/run", "..", "/", "/tmp", "--tmp=/tmp", "-o."] {
        assert_eq!(files.planned(&[argument]).0, Vec::<String>::new(), "{argument}");
    }
    assert_eq!(files.planned(&["--tmp=/tmp"]).1, ["--tmp=/T/tmp"]);
}

#[test]
fn too_large_a_directory_is_refused_by_name() {
    let mut files = Files::new(&[]);
    for number in 0..=MOST {
        files.add(&format!("/run/set/{number}"), file());
    }
    let argv = ["program", "set"].map(Text::from);
    let error = Plan::new(&argv, &Text::from("/run"), &files, |_| false).unwrap_err().to_string();
    assert!(error.contains("/run/set"), "{error}");
    let error = Plan::new(&argv, &Text::from("/gone"), &files, |_| false).unwrap_err().to_string();
    assert!(error.contains("/gone"), "{error}");
}

#[test]
fn outputs_may_be_where_arguments_say() {
    let files = Files::new(&["/run/in", "/data/x/old", "/big/deep/file"]);
    let writable = |arguments: &[&str]| {
        let plan = files.plan(arguments);
        plan.writable.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(writable(&["in"]), ["/run"]);
    assert_eq!(writable(&["-o", "/data/x/new"]), ["/data/x", "/run"]);
    assert_eq!(writable(&["--out=/big/deep"]), ["/big/deep", "/run"]);
    assert_eq!(writable(&["/data/x/old", "/usr/new", "/new", "/etc/passwd"]), ["/data/x", "/run"]);
}

#[test]
fn what_the_host_has_itself_is_not_taken() {
    let files = Files::new(&["/run/in", "/data/x"]);
    let argv = ["program", "/data/x", "in"].map(Text::from);
    let is_there = |path: &[u8]| path.starts_with(b"/data/");
    let plan = Plan::new(&argv, &Text::from("/run"), &files, is_there).unwrap();
    assert!(!plan.things.contains_key(&path("/data/x")));
    let argv = plan.arguments(Some(b"/T"), |_| Text::from("mapped"));
    assert_eq!(argv[1..], [Text::from("mapped"), Text::from("mapped")]);
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["a", "b", "run", "usr", "..", ".", "a.b", ""][..])
}

fn text() -> impl Strategy<Value = String> {
    (any::<bool>(), prop::collection::vec(name(), 0..5)).prop_map(|(is_absolute, names)| {
        format!("{}{}", if is_absolute { "/" } else { "" }, names.join("/"))
    })
}

fn some_files() -> impl Strategy<Value = Files> {
    let thing = prop_oneof![
        Just(Found::Directory),
        Just(file()),
        text().prop_map(|target| Found::Symlink { target: Text::from(&*target) }),
    ];
    prop::collection::vec((text(), thing), 0..12).prop_map(|things| {
        let mut files = Files::new(&[]);
        for (text, found) in things {
            let Some(path) = WholePath::new(text.as_bytes()) else { continue };
            let mut above = path.parent();
            let mut is_possible = !files.0.contains_key(&path);
            while let Some(directory) = above {
                above = directory.parent();
                is_possible &= files.0.get(&directory).is_none_or(|it| *it == Found::Directory);
            }
            if is_possible {
                files.add(&text, found);
            }
        }
        files.0.remove(&WholePath::root());
        files
    })
}

proptest! {
    #[test]
    fn any_plan_can_be_laid_out_and_keeps_to_what_is_not_the_systems(
        files in some_files(),
        arguments in prop::collection::vec(text(), 0..4),
    ) {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let plan = files.plan(&arguments);
        let things = plan.things.iter().map(|(path, found)| {
            let thing = match found {
                Found::Symlink { target } => Thing::Symlink { target: target.clone() },
                _ => Thing::Directory,
            };
            (path.clone(), thing)
        });
        let manifest = Manifest { directory: plan.directory.clone(), things: things.collect(), program: None, cache_size: None };
        let json = serde_json::to_string(&manifest).unwrap();
        prop_assert!(serde_json::from_str::<Manifest>(&json).is_ok(), "{}", json);
        for path in plan.things.keys().chain(&plan.writable) {
            prop_assert!(!path.is_systems());
        }
        for (path, found) in &plan.things {
            match (found, files.0.get(path)) {
                (Found::Symlink { .. }, Some(Found::Symlink { .. })) | (Found::Directory, _) => {}
                (found, real) => prop_assert_eq!(Some(found), real),
            }
        }
        // What a path led to, it leads to in the tree.
        let argv = plan.arguments(Some(b"/T"), Text::clone);
        for (argument, there) in arguments.iter().zip(&argv[1..]) {
            if there.as_bytes() == argument.as_bytes() {
                continue;
            }
            let is_in_tree = there.as_bytes().starts_with(b"/T");
            let whole = WholePath::new(there.as_bytes());
            prop_assert!(is_in_tree || whole.is_some_and(|path| path.is_systems()));
        }
    }
}
