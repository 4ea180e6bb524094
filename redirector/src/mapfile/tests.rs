//! All forms, what people get wrong in them, and that what is written is read back.

use proptest::prelude::*;

use super::{Content, Entry, Form, Member, read, write};
use crate::model::{NodeName, Text};

/// As LOFAR's documentation prints a mapfile of CEP: two hosts share a line, and lines that were
/// wrapped have left a blank in names.
const SAMPLE: &[u8] = include_bytes!("sample.mapfile");

fn entry(host: &str, file: &[u8], skip: bool) -> Entry {
    Entry { skip, ..Entry::new(NodeName(host.to_owned()), file.into()) }
}

/// The entries as `host:file`, with `!` behind what is skipped, separated by bars.
fn shown(text: &[u8]) -> String {
    let member = |(file, skip): (&Text, bool)| {
        format!("{}{}", file.to_string_lossy(), if skip { "!" } else { "" })
    };
    let entry = |entry: &Entry| {
        let members: Vec<_> = entry.members().map(member).collect();
        format!("{}:{}", entry.host, members.join("+"))
    };
    match read(text) {
        Ok(entries) => entries.iter().map(entry).collect::<Vec<_>>().join("|"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_sample_of_the_documentation() {
    let directory = |index: usize| match index {
        2 => "/data/scratch/swinban k/L2010_20852_1",
        _ => "/data/scratch/swinbank/L2010_20852_1",
    };
    let name =
        |band: usize, index: usize| format!("{}/L20852_SB{band:03}-uv.MS.dppp", directory(index));
    let mut expected = Vec::new();
    for host in 0..9 {
        // One band more than nine hosts can have in three rounds.
        for index in 0..if host == 0 { 4 } else { 3 } {
            let host_name = format!("lce{:03}", host + 1);
            expected.push(entry(&host_name, name(host + 9 * index, index).as_bytes(), false));
        }
    }
    expected.push(entry("lce010", name(28, 0).as_bytes(), false));
    assert_eq!(read(SAMPLE).unwrap(), expected);
}

#[test]
fn parsets() {
    for (text, expected) in [
        ("", ""),
        ("# nothing\n\n", ""),
        ("lce001=[ /a/f1, /a/f2 ]", "lce001:/a/f1|lce001:/a/f2"),
        ("b = ['/x', \"/y z\"]\na = []\n", "b:/x|b:/y z"),
        ("a=[1] b=[2]c=[3]", "a:1|b:2|c:3"),
        ("a=[\n  1,\n  2 # two\n]\n", "a:1|a:2"),
        ("a=[1,\\\n 2]", "a:1|a:2"),
        ("a=[/x\n  y]", "a:/x y"),
        ("a=[/x \\\n  y ]", "a:/x y"),
        ("a=[x=1, y=2] b=[z]", "a:x=1|a:y=2|b:z"),
        ("a=[1,2,]", "a:1|a:2"),
        ("a=[f(1,2), g[3,4], h{5,6}]", "a:f(1,2)|a:g[3,4]|a:h{5,6}"),
        ("a=['x,y', \"it's\", '#']", "a:x,y|a:it's|a:#"),
        ("a=[x'1,2'y]", "a:x'1,2'y"),
        ("a = /x/y # why", "a:/x/y"),
        ("a = '/x = y'", "a:/x = y"),
        ("a = /x\nb =\nc = /y\r\n", "a:/x|c:/y"),
        ("a = /x\n y\nb = /z", "a:/x y|b:/z"),
        ("a =\n  [1]\n'b' = [2]", "a:1|b:2"),
        ("a=[1] a=[2]", "a:1|a:2"),
        ("a=['']", "a:"),
    ] {
        assert_eq!(shown(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn lists_of_tuples_and_dictionaries() {
    for (text, expected) in [
        ("[]", ""),
        ("# LOFAR\n[]\n", ""),
        ("[('a', '1'), ('b', '2')]", "a:1|b:2"),
        ("[(u'a', u'\\xe9'), ('b', 'caf\\xc3\\xa9')]", "a:é|b:café"),
        ("[('a', '\\u00e9\\U0001f600'), ('b', \"it's\\t\\101\\q\")]", "a:é😀|b:it's\tA\\q"),
        ("([\"a\", '1'],)", "a:1"),
        ("[{'host': 'a', 'file': '1', 'skip': False}]", "a:1"),
        ("[{'file': '1',\n 'skip': True, 'host': 'a',},]", "a:1!"),
        // LOFAR's reader takes an entry for skipped that does not say.
        ("[{'host': 'a', 'file': '1'}]", "a:1!"),
        ("[{'host': 'a', 'file': '1', 'skip': 0}, ('b', '2')]", "a:1|b:2"),
        (
            "[{'host': 'h', 'skip': False, 'file': \"['/a','/b']\", 'file_skip': [False, True]}]",
            "h:/a+/b!",
        ),
        (
            "[{'host': 'h', 'skip': True, 'file': \"[u'/a', '/b']\", 'file_skip': None}]",
            "h:/a!+/b!",
        ),
        ("[{'host': 'h', 'skip': False, 'file': ['/a', '/b']}]", "h:/a+/b"),
        ("[{'host': 'h', 'skip': False, 'file': \"['/a']\"}]", "h:['/a']"),
        ("[{'host': 'h', 'skip': False, 'file': '[]', 'file_skip': []}]", "h:"),
    ] {
        assert_eq!(shown(text.as_bytes()), expected, "{text}");
    }
    let surrogate = read(b"[('a', '\\udcff'), ('a', b'\\xff'), ('a', '\xff')]").unwrap();
    for entry in surrogate {
        assert_eq!(entry.content, Content::File(Text(vec![0xff])));
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, place, part) in [
        ("a=[1, 2\nb=[3", "2:3", "'[' is not closed"),
        ("a=[1, 2", "1:3", "'[' is not closed"),
        ("a=[1, 'x\n]", "1:7", "quote is not closed"),
        ("a=[it's]", "1:6", "quote is not closed"),
        ("a=[f)]", "1:5", "')' closes nothing"),
        ("a=[f(])]", "1:6", "']' closes nothing"),
        ("a=[1,,2]", "1:6", "file name is missing"),
        ("a=['1' '2']", "1:8", "comma is missing"),
        ("a=[1]]", "1:6", "HOST = [ FILE, … ]"),
        ("héhé [1]", "1:1", "HOST = [ FILE, … ]"),
        ("a=[1]\n b", "2:2", "HOST = [ FILE, … ]"),
        ("a=1 b=2", "1:6", "belongs in brackets"),
        ("=[1]", "1:1", "the host has no name"),
        ("a=[x\0]", "1:4", "zero byte"),
        ("{'host': 'a'}", "1:1", "HOST = [ FILE, … ]"),
        ("[('a', '1')", "1:1", "'[' is not closed"),
        ("[('a', '1'", "1:2", "'(' is not closed"),
        ("[('a', '1')] x", "1:14", "nothing after the list"),
        ("[('a', '1') ('b', '2')]", "1:13", "comma is missing"),
        ("[('a', '1')}", "1:12", "'}' closes nothing"),
        ("[('a', 'é', 3)]", "1:13", "a text in quotes"),
        ("[('a', 'é', '3')]", "1:2", "a host and a file"),
        ("[('a' '1')]", "1:7", "comma is missing"),
        ("['a', '1']", "1:2", "'HOST', 'FILE'"),
        ("[('a', '1),\n]", "1:8", "quote is not closed"),
        ("[('a', '\\x4')]", "1:9", "escape"),
        ("[('a', '\\ud800')]", "1:9", "escape"),
        ("[('a', '\\N{BEL}')]", "1:9", "escape"),
        ("[('a', '\\777')]", "1:9", "escape"),
        ("[('a', '\\x00')]", "1:8", "zero byte"),
        ("[(b'\\xff', '1')]", "1:3", "not UTF-8"),
        ("[('', '1')]", "1:3", "the host has no name"),
        ("[{'host': 'a', 'skip': False}]", "1:2", "no 'file'"),
        ("[{'file': 'a', 'skip': False}]", "1:2", "no 'host'"),
        ("[{'host': 'a',\n 'files': '1'}]", "2:2", "unknown key 'files'"),
        ("[{'host': 'a', 'host': 'b'}]", "1:16", "'host' stands here for the second time"),
        ("[{'host' 'a'}]", "1:10", "':'"),
        ("[{'host': 'a', 'file': '1', 'skip': 'no'}]", "1:37", "True or False"),
        (
            "[{'host': 'a', 'file': \"['1']\", 'skip': False, 'file_skip': [True, False]}]",
            "1:61",
            "2 flags in 'file_skip' for 1 files",
        ),
        (
            "[{'host': 'a', 'file': \"['1'\", 'skip': False, 'file_skip': []}]",
            "1:24",
            "in the list that this text holds, at 1:1: this '[' is not closed",
        ),
        ("[__import__('os').system('touch trap')]", "1:2", "a text in quotes"),
        ("[[[[[[[[[[[]]]]]]]]]]]", "1:10", "nested too deeply"),
    ] {
        let error = read(text.as_bytes()).expect_err(text).to_string();
        assert!(error.starts_with(&format!("{place}: ")), "{text}: {error}");
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn as_it_is_written() {
    let member = |file: &str, skip| Member { file: file.into(), skip };
    let group = Content::Files(vec![member("/a'b", false), member("/c", true)]);
    let entries = [
        entry("lce001", b"/a b", false),
        entry("lce002", "/\u{e9}\n'".as_bytes(), true),
        entry("lce001", b"/\xff", false),
        Entry { content: group, ..entry("lce003", b"", false) },
    ];
    let written = String::from_utf8(write(&entries, Form::Dictionaries).unwrap()).unwrap();
    assert_eq!(
        written,
        "[{'host': 'lce001', 'file': '/a b', 'skip': False},\n \
         {'host': 'lce002', 'file': '/é\\n\\'', 'skip': True},\n \
         {'host': 'lce001', 'file': b'/\\xff', 'skip': False},\n \
         {'host': 'lce003', 'file': '[\\'/a\\\\\\'b\\', \\'/c\\']', 'skip': False, \
         'file_skip': [False, True]}]\n"
    );
    assert_eq!(read(written.as_bytes()).unwrap(), entries);
    let plain =
        [&entries[..1], &[entry("b", b"/x", false), entry("lce001", b"/y", false)]].concat();
    let written = write(&plain, Form::Parset).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), "lce001=[ '/a b', /y ]\nb=[ /x ]\n");
}

#[test]
fn what_a_parset_cannot_say() {
    let group = Content::Files(Vec::new());
    for (entry, part) in [
        (entry("a", b"/x", true), "skipped"),
        (entry("a", b"/x\ny", false), "line end"),
        (entry("a", b"'\"", false), "both kinds of quotes"),
        (entry("a b", b"/x", false), "a host with such a name"),
        (Entry { content: group, ..entry("a", b"", false) }, "several files"),
    ] {
        let error = write(&[entry], Form::Parset).unwrap_err().to_string();
        assert!(error.starts_with("entry 1 (host a"), "{error}");
        assert!(error.contains(part), "{error}");
    }
}

/// Names with everything that has a meaning somewhere.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => 1..=255_u8,
        4 => prop::sample::select(&b"/ab01 \t\r\n'\"\\#=,()[]{}xuN.\xc3\xa9"[..]),
    ];
    prop::collection::vec(byte, 0..12)
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "[a-z0-9][a-z0-9.-]{0,8}", "[^\0]{1,6}"]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let member = (name(), any::<bool>()).prop_map(|(file, skip)| Member { file: Text(file), skip });
    let content = prop_oneof![
        3 => name().prop_map(|file| Content::File(Text(file))),
        1 => prop::collection::vec(member, 0..4).prop_map(Content::Files),
    ];
    (host(), content, any::<bool>()).prop_map(|(host, content, skip)| Entry {
        host: NodeName(host),
        content,
        skip,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(entries in prop::collection::vec(any_entry(), 0..8)) {
        let written = write(&entries, Form::Dictionaries).unwrap();
        prop_assert_eq!(read(&written).unwrap(), entries);
    }

    #[test]
    fn parsets_too_host_by_host(names in prop::collection::vec(("[a-c]", name()), 0..8)) {
        let entries: Vec<_> =
            names.iter().map(|(host, file)| entry(host, file, false)).collect();
        match write(&entries, Form::Parset) {
            Ok(written) => {
                let found = read(&written).unwrap();
                let mut expected = Vec::new();
                let mut hosts: Vec<&String> = Vec::new();
                for (host, _) in &names {
                    if !hosts.contains(&host) {
                        hosts.push(host);
                        let of_host = |entry: &&Entry| entry.host.0 == *host;
                        expected.extend(entries.iter().filter(of_host).cloned());
                    }
                }
                prop_assert_eq!(found, expected);
            }
            Err(error) => {
                let file = &names[error.number - 1].1;
                let has_both = file.contains(&b'\'') && file.contains(&b'"');
                prop_assert!(file.contains(&b'\n') || has_both, "{} {:?}", error, file);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, broken in name(), entries in prop::collection::vec(any_entry(), 1..4), cut: prop::sample::Index) {
        drop(read(&bytes));
        let mut written = write(&entries, Form::Dictionaries).unwrap();
        let at = cut.index(written.len());
        written.splice(at..(at + 2).min(written.len()), broken.iter().copied());
        drop(read(&written));
        drop(read(&[b"a=[", &broken[..], b"]"].concat()));
        drop(read(&[b"a=", &broken[..], b"\nb=[x]"].concat()));
    }
}
