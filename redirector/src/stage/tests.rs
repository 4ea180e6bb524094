use std::{collections::BTreeMap, path::Path};

use proptest::prelude::*;

use super::{
    arguments,
    diff::{Before, Sight, Stamp, changes},
    manifest::{Manifest, Thing, target_here, target_there},
    path::WholePath,
    talk::{Subject, blob_path, outputs_path, stage_path},
    *,
};
use crate::{
    agent::protocol::AttemptId,
    model::{JobId, Text},
};

fn path(text: &str) -> WholePath {
    WholePath::new(text.as_bytes()).unwrap()
}

/// Bytes among which those with a meaning are common.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => prop::sample::select(&b"/.,:=-a"[..]),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..24)
}

fn whole_path() -> impl Strategy<Value = WholePath> {
    let name = prop::sample::select(&["a", "b", "c", "ä \n", "..."][..]);
    prop::collection::vec(name, 1..4).prop_map(|names| path(&format!("/{}", names.join("/"))))
}

fn sight() -> impl Strategy<Value = Sight> {
    let stamp = (0..3u64, 0..3i64).prop_map(|(inode, time)| {
        Sight::File(Stamp { device: 1, inode, size: 1, changed: time, touched: time })
    });
    prop_oneof![Just(Sight::Directory), stamp, Just(Sight::Symlink { target: Text::from("x") }),]
}

proptest! {
    #[test]
    fn a_whole_path_stays_below_any_root(bytes in bytes()) {
        if let Some(path) = WholePath::new(&bytes) {
            let there = path.below(Path::new("/tree"));
            prop_assert!(there.starts_with("/tree"));
            prop_assert!(there.components().all(|part| part != std::path::Component::ParentDir));
            let json = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<WholePath>(&json).unwrap(), path.clone());
            if let Some((directory, name)) = path.split() {
                prop_assert!(path.is_in(&directory) && !directory.is_in(&path));
                prop_assert_eq!(directory.child(name), Some(path.clone()));
            }
        }
    }

    #[test]
    fn parts_of_arguments_are_in_order_and_do_not_overlap(argument in bytes()) {
        for whole in arguments::wholes(&argument) {
            let members = arguments::members(&argument, whole.clone());
            let mut end = whole.start;
            for member in &members {
                prop_assert!(end <= member.start && member.end <= whole.end);
                end = member.end;
            }
            let same: Vec<_> =
                members.iter().map(|it| (it.clone(), argument[it.clone()].to_vec())).collect();
            prop_assert_eq!(arguments::replace(&argument, &same), argument.clone());
        }
    }

    #[test]
    fn before_with_its_changes_is_after(
        before in prop::collection::btree_map(whole_path(), sight(), 0..8),
        after in prop::collection::btree_map(whole_path(), sight(), 0..8),
    ) {
        let changes = changes(&Before { things: before.clone(), ..Before::default() }, &after);
        let mut things = before;
        for path in &changes.removed {
            prop_assert!(things.remove(path).is_some());
        }
        for path in &changes.made {
            prop_assert_ne!(things.insert(path.clone(), after[path].clone()), Some(after[path].clone()));
        }
        prop_assert_eq!(things, after);
    }

    #[test]
    fn links_lead_back_where_they_led(target in bytes()) {
        let target = Text(target);
        let there = target_there(&target, b"/agents/jobs/7.1/root");
        prop_assert_eq!(target_here(&there, b"/agents/jobs/7.1/root"), target);
    }
}

#[test]
fn names_of_a_shared_file_come_and_go() {
    let stamp = |touched| Stamp { device: 1, inode: 2, size: 3, changed: 4, touched };
    let things = BTreeMap::from([(path("/a"), Sight::File(stamp(5)))]);
    let after = BTreeMap::from([(path("/a"), Sight::File(stamp(6)))]);
    let mut before = Before { things, ..Before::default() };
    assert_eq!(changes(&before, &after).made, [path("/a")]);
    before.shared.insert(path("/a"));
    assert_eq!(changes(&before, &after).made, []);
}

#[test]
fn nothing_is_laid_through_a_link_or_a_file() {
    let link = Thing::Symlink { target: Text::from("/etc") };
    let manifest = |above: Thing| Manifest {
        directory: path("/run1"),
        things: BTreeMap::from([(path("/x"), above), (path("/x/y/z"), Thing::Directory)]),
        program: None,
        cache_size: None,
    };
    let back = |manifest: &Manifest| {
        serde_json::from_str::<Manifest>(&serde_json::to_string(manifest).unwrap())
    };
    let good = manifest(Thing::Directory);
    assert_eq!(back(&good).unwrap(), good);
    let error = back(&manifest(link.clone())).unwrap_err().to_string();
    assert!(error.contains("/x is no directory"), "{error}");
    let mut in_link = good;
    in_link.things.insert(path("/run1"), link);
    assert!(back(&in_link).is_err());
}

#[test]
fn streams_are_found_by_their_paths() {
    let attempt = AttemptId { job: JobId(7), number: 2 };
    let digest = Digest::from(blake3::hash(b""));
    assert_eq!(Subject::of(&stage_path(attempt)), Some(Subject::Stage(attempt)));
    assert_eq!(Subject::of(&outputs_path(attempt)), Some(Subject::Outputs(attempt)));
    assert_eq!(Subject::of(&blob_path(digest)), Some(Subject::Blob(digest)));
    for other in ["/v1/orders", "/v1/stages/7", "/v1/stages/7.x", "/v1/blobs/..", "/v1/blobs/AB"] {
        assert_eq!(Subject::of(other), None, "{other}");
    }
}
