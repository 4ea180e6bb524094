//! Both sides on one computer, over streams that are counted and cut.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    pin::Pin,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc::unbounded_channel,
};

use super::*;
use crate::{
    agent::stage::Stages as Agent,
    config::Host,
    engine::{ByteStream, Open},
    model::JobId,
};

/// A gateway's computer and a host.
struct World {
    directory: tempfile::TempDir,
    stages: Stages,
    link: Link,
}

/// A connection that counts, and may break after so many bytes of one stream.
#[derive(Clone)]
struct Link {
    agent: Agent,
    /// Bytes to the host.
    sent: Arc<AtomicU64>,
    breaks_after: u64,
}

impl Open for Link {
    fn open(&self, path: String) -> Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>> {
        let own = self.clone();
        Box::pin(async move {
            let (here, there) = tokio::io::duplex(5000);
            let subject = talk::Subject::of(&path).expect("it is about files");
            tokio::spawn(own.agent.serve(subject, Box::new(there)));
            let left = own.breaks_after;
            Ok(Box::new(Counted { inner: here, sent: own.sent, left }) as ByteStream)
        })
    }
}

impl crate::engine::Duplex for Counted {}

struct Counted {
    inner: DuplexStream,
    sent: Arc<AtomicU64>,
    left: u64,
}

impl Counted {
    fn passed(&mut self, bytes: usize) -> io::Result<()> {
        self.left = self.left.saturating_sub(bytes as u64);
        if self.left == 0 { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        // What is broken stays so.
        self.passed(0)?;
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        std::task::Poll::Ready(self.passed(buffer.filled().len() - before))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        let count = std::task::ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        std::task::Poll::Ready(self.passed(count).map(|()| count))
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

const UNBROKEN: u64 = u64::MAX;

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let agent = directory.path().join("host/gateway.h1");
        fs::create_dir_all(&agent).unwrap();
        fs::create_dir_all(directory.path().join("here/run")).unwrap();
        let stages = Stages::new(&StateDirectory::at(&directory.path().join("state")));
        let agent = Agent::new(&StateDirectory::at(&agent), None);
        let link = Link { agent, sent: Arc::default(), breaks_after: UNBROKEN };
        Self { directory, stages, link }
    }

    /// The working directory.
    fn run(&self) -> PathBuf {
        self.directory.path().join("here/run")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.run().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn order(&self, job: u64, argv: &[&OsStr]) -> Order {
        let node = NodeName("h1".to_owned());
        Order {
            attempt: AttemptId { job: JobId(job), number: 1 },
            program: Text::from("/bin/sh"),
            mapping: Mapping::of(&Host::named(node.clone())),
            node,
            channel: Channel::new(self.link.clone()),
            argv: argv.iter().map(|argument| Text::from(argument.as_bytes())).collect(),
            directory: Text::from(self.run()),
            cache_size: None,
        }
    }

    async fn stage(&self, order: &Order) -> Staged {
        self.stages.stage(order).await.unwrap().unwrap()
    }

    async fn land(&self, order: &Order) -> Vec<String> {
        self.stages.fetch(order.attempt, &order.channel).await.unwrap()
    }

    /// Runs a script on the host, and brings back what it has made.
    async fn on_host(&self, job: u64, script: &str, arguments: &[&OsStr]) -> Vec<String> {
        let argv = [&[OsStr::new("script")], arguments].concat();
        let order = self.order(job, &argv);
        let staged = self.stage(&order).await;
        let root = staged.directory.as_path().to_owned();
        assert!(root.starts_with(self.directory.path().join("host/gateway.h1/jobs")));
        execute(script, &staged.argv, &root);
        self.land(&order).await
    }

    fn sent(&self) -> u64 {
        self.link.sent.swap(0, Ordering::Relaxed)
    }
}

fn execute(script: &str, argv: &[Text], directory: &Path) {
    let arguments = argv[1..].iter().map(|argument| OsStr::from_bytes(argument.as_bytes()));
    let mut command = Command::new("/bin/sh");
    command.arg("-ec").arg(script).arg("script").args(arguments).current_dir(directory);
    assert!(command.status().unwrap().success(), "{script}");
}

/// All files below a directory: what they are, and what is in them.
fn contents(directory: &Path) -> BTreeMap<Vec<u8>, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                directories.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let name = path.strip_prefix(directory).unwrap().as_os_str().as_bytes().to_vec();
            all.insert(name, (metadata.mode(), content));
        }
    }
    all
}

/// What a script does there is what it does here.
async fn same_as_here(prepare: impl Fn(&World), script: &str, arguments: &[&OsStr]) {
    let (here, there) = (World::new(), World::new());
    prepare(&here);
    prepare(&there);
    let texts: Vec<_> = arguments.iter().map(|text| Text::from(text.as_bytes())).collect();
    execute(script, &[&[Text::from("script")], &*texts].concat(), &here.run());
    assert_eq!(there.on_host(1, script, arguments).await, Vec::<String>::new());
    let both = [&here, &there].map(|world| contents(&world.directory.path().join("here")));
    assert_eq!(both[0], both[1]);
    let jobs = there.directory.path().join("host/gateway.h1/jobs");
    assert_eq!(contents(&jobs), BTreeMap::new(), "nothing is left");
}

#[tokio::test]
async fn odd_names_modes_links_and_directories_come_and_go() {
    let odd = OsStr::from_bytes(b"a b\n'\"\xff\\.txt");
    let prepare = |world: &World| {
        fs::write(world.run().join(odd), "odd").unwrap();
        world.write("tool.sh", "#!/bin/sh\necho ran\n");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(world.run().join("tool.sh"), mode).unwrap();
        world.write("ref/ref.fa", "reference");
        world.write("ref/ref.fa.fai", "index");
        world.write("ref/ref.dict", "dictionary");
        symlink("ref/ref.fa", world.run().join("link.fa")).unwrap();
        world.write("set/deep/1", "one");
        world.write("set/2", "two");
        world.write("../beside.txt", "beside");
        fs::create_dir(world.run().join("out")).unwrap();
    };
    let script = r#"
        cat "$1" link.fa link.fa.fai ref/ref.dict set/deep/1 set/2 ../beside.txt >out/all 2>&1
        ./tool.sh >>out/all
        cp -p "$1" "out/$1"
        mkdir -p out/new/empty && chmod 750 out/new && ln -s ../all out/new/link && chmod 555 out/new/empty
        printf more >>set/2
        mv ref/ref.fa.fai ref/moved
        touch -d "2001-02-03 04:05:06.789" out/old && chmod 700 out/old
    "#;
    // The index was not named, so it stays here where it was.
    let others = ["--ref=link.fa", "set", "../beside.txt", "-oout", "./tool.sh"];
    let arguments = [&[odd], &others.map(OsStr::new)[..]].concat();
    let (here, there) = (World::new(), World::new());
    prepare(&here);
    prepare(&there);
    symlink_index(&here);
    symlink_index(&there);
    let texts: Vec<_> = arguments.iter().map(|text| Text::from(text.as_bytes())).collect();
    execute(script, &[&[Text::from("script")], &*texts].concat(), &here.run());
    assert_eq!(there.on_host(1, script, &arguments).await, Vec::<String>::new());
    let mut expected = contents(&here.run());
    let index = fs::read(there.run().join("ref/ref.fa.fai")).unwrap();
    assert_eq!(index, b"index");
    expected.insert(b"ref/ref.fa.fai".to_vec(), expected[&b"ref/moved"[..]].clone());
    assert_eq!(contents(&there.run()), expected);
    let old = |world: &World| fs::metadata(world.run().join("out/old")).unwrap().mtime();
    assert_eq!(old(&here), old(&there));
}

/// What belongs to a link beside it.
fn symlink_index(world: &World) {
    symlink("ref/ref.fa.fai", world.run().join("link.fa.fai")).unwrap();
}

#[tokio::test]
async fn what_a_command_does_to_files_that_it_names_is_done_here() {
    let prepare = |world: &World| {
        world.write("a.txt", "first");
        world.write("b.txt", "second");
        world.write("c.txt", "third");
    };
    let script = r#"
        gzip -n "$1"
        mv "$2" "$2.old"
        sed -i s/third/3/ "$3"
    "#;
    let arguments = ["a.txt", "b.txt", "c.txt"].map(OsStr::new);
    same_as_here(prepare, script, &arguments).await;
}

#[tokio::test]
async fn absolute_paths_lead_into_the_tree() {
    let world = World::new();
    let input = world.write("data/in.txt", "input");
    symlink(world.run().join("data"), world.run().join("way")).unwrap();
    let through = world.run().join("way/in.txt");
    let list = [input.as_os_str().as_bytes(), b",", through.as_os_str().as_bytes()].concat();
    let output = [b"--out=", world.run().as_os_str().as_bytes(), b"/out.txt"].concat();
    let arguments = [&list[..], &output, b"/etc/passwd", b"/no/such/path"].map(OsStr::from_bytes);
    let script = r#"
        case $1$2 in *host/gateway.h1*host/gateway.h1*host/gateway.h1*) ;; *) exit 1;; esac
        [ "$3$4" = /etc/passwd/no/such/path ]
        cat "${1%,*}" "${1#*,}" >"${2#--out=}"
        ln -s "${1%,*}" made
    "#;
    assert_eq!(world.on_host(1, script, &arguments).await, Vec::<String>::new());
    assert_eq!(fs::read(world.run().join("out.txt")).unwrap(), b"inputinput");
    assert_eq!(fs::read_link(world.run().join("made")).unwrap(), input);
}

#[tokio::test]
async fn a_reference_travels_once_however_many_jobs_need_it_at_a_time() {
    let world = World::new();
    let size = 3 << 20;
    world.write("ref.fa", vec![b'A'; size]);
    let arguments = ["ref.fa"].map(OsStr::new);
    let script = "wc -c <ref.fa >out.$$";
    let jobs = (1..=4).map(|job| world.on_host(job, script, &arguments));
    for problems in futures(jobs).await {
        assert_eq!(problems, Vec::<String>::new());
    }
    let sent = world.sent();
    assert!((size as u64..size as u64 + 8000).contains(&sent), "{sent}");
    // As a later gateway, which knows no digests, and a copy by another name.
    fs::copy(world.run().join("ref.fa"), world.run().join("copy.fa")).unwrap();
    let script = "wc -c <copy.fa >out";
    world.on_host(5, script, &["copy.fa"].map(OsStr::new)).await;
    assert!(world.sent() < 2000);
    assert_eq!(fs::read(world.run().join("out")).unwrap(), format!("{size}\n").as_bytes());
}

/// All at the same time.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = all.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in &mut waiting {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if waiting.iter().all(|(_, done)| done.is_some()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn a_connection_that_breaks_again_and_again_loses_and_doubles_nothing() {
    let mut world = World::new();
    let bytes: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    world.write("in", &bytes);
    world.link.breaks_after = 700_000;
    let order = world.order(1, &["script", "in"].map(OsStr::new));
    let mut breaks = 0;
    let staged = loop {
        match world.stages.stage(&order).await {
            Ok(staged) => break staged.unwrap(),
            Err(_) => breaks += 1,
        }
    };
    assert!(breaks >= 5, "{breaks}");
    let sent = world.sent();
    assert!(sent < bytes.len() as u64 + 5000 * (breaks + 1), "{sent}");
    execute("cat in in >out; echo x >small", &staged.argv, staged.directory.as_path());
    let mut breaks = 0;
    loop {
        match world.stages.fetch(order.attempt, &order.channel).await {
            Ok(problems) => break assert_eq!(problems, Vec::<String>::new()),
            Err(_) => breaks += 1,
        }
    }
    assert!(breaks >= 10, "{breaks}");
    assert!(fs::read(world.run().join("out")).unwrap() == [&bytes[..], &bytes].concat());
    assert_eq!(fs::read_dir(world.run()).unwrap().count(), 3, "in, out, small");
}

#[tokio::test]
async fn a_large_input_that_is_written_into_is_an_output_and_no_other_jobs_input() {
    let world = World::new();
    let size = 17 << 20;
    world.write("big", vec![1; size]);
    let arguments = ["big"].map(OsStr::new);
    let script = "chmod u+w big; printf x | dd of=big conv=notrunc status=none";
    assert_eq!(world.on_host(1, script, &arguments).await, Vec::<String>::new());
    assert_eq!(fs::read(world.run().join("big")).unwrap()[..3], *b"x\x01\x01");
    assert!(world.sent() > size as u64);
    world.write("big", vec![1; size]);
    let script = "head -c 1 big | od -An -tu1 >first";
    assert_eq!(world.on_host(2, script, &arguments).await, Vec::<String>::new());
    assert_eq!(fs::read_to_string(world.run().join("first")).unwrap().trim(), "1");
    assert_eq!(fs::metadata(world.run().join("big")).unwrap().mode() & 0o777, 0o644);
}

/// An agent that says what it likes.
struct Liar(Outputs);

impl Open for Liar {
    fn open(&self, _: String) -> Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>> {
        let outputs = self.0.clone();
        Box::pin(async move {
            let (here, mut there) = tokio::io::duplex(5000);
            tokio::spawn(async move {
                say(&mut there, &outputs).await.unwrap();
                let mut there = BufReader::new(there);
                while let Some(Wanted { .. }) = expect_or_end(&mut there).await {
                    there.write_all(b"evil").await.unwrap();
                    there.write_all(blake3::hash(b"evil").as_bytes()).await.unwrap();
                }
            });
            Ok(Box::new(here) as ByteStream)
        })
    }
}

async fn expect_or_end(stream: &mut BufReader<DuplexStream>) -> Option<Wanted> {
    crate::stage::transfer::hear(stream).await.ok().flatten()
}

#[tokio::test]
async fn a_host_cannot_write_where_the_command_may_not() {
    let world = World::new();
    world.write("in", "input");
    let outside = world.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, world.run().join("trap")).unwrap();
    let order = world.order(1, &["script", "in"].map(OsStr::new));
    world.stage(&order).await;
    let evil = |path: PathBuf| Output {
        path: WholePath::new(path.as_os_str().as_bytes()).unwrap(),
        made: Made::File { size: 4, mode: 0o644, changed: 0 },
    };
    let made = vec![
        evil(outside.join("one")),
        evil(world.directory.path().join("here/two")),
        evil(world.run().join("trap/three")),
        evil(world.run().join("good")),
    ];
    let removed = WholePath::new(outside.as_os_str().as_bytes()).unwrap();
    let outputs = Outputs { made, removed: vec![removed], problems: Vec::new() };
    let channel = Channel::new(Liar(outputs));
    let problems = world.stages.fetch(order.attempt, &channel).await.unwrap();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(contents(&outside), BTreeMap::new());
    assert!(!world.directory.path().join("here/two").exists());
    assert_eq!(fs::read(world.run().join("good")).unwrap(), b"evil");
    // `..` does not even parse.
    assert!(serde_json::from_str::<WholePath>("\"/a/../b\"").is_err());
}

#[tokio::test]
async fn what_the_host_cannot_do_is_said() {
    let world = World::new();
    world.write("in", "input");
    let jobs = world.directory.path().join("host/gateway.h1/jobs");
    fs::write(&jobs, "in the way").unwrap();
    let order = world.order(1, &["script", "in"].map(OsStr::new));
    let problem = world.stages.stage(&order).await.unwrap().unwrap_err();
    assert!(matches!(problem, Problem::There { .. }), "{problem}");
    assert!(problem.to_string().contains("h1"), "{problem}");
}

#[tokio::test]
async fn the_core_is_told() {
    let world = World::new();
    world.write("in", "input");
    let order = world.order(1, &["script", "in"].map(OsStr::new));
    let (core, mut messages) = unbounded_channel();
    let task = world.stages.send(order.clone(), core.clone());
    let Some(Message::Staged { attempt, result: Ok(staged) }) = messages.recv().await else {
        panic!("it is staged");
    };
    assert_eq!(attempt, order.attempt);
    execute("cp in out", &staged.argv, staged.directory.as_path());
    drop(task);
    let _task = world.stages.land(attempt, order.channel, core);
    assert!(matches!(
        messages.recv().await,
        Some(Message::Landed { problems, .. }) if problems.is_empty()
    ));
    assert_eq!(fs::read(world.run().join("out")).unwrap(), b"input");
}
