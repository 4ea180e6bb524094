//! A table of situations. Each line is one event and, behind `->`, all that follows from it.
//!
//! ```text
//! node NAME CPUS [max=JOBS] [pipelines=N] [gpus=PIECES] [POOL=N]
//! drain NAME    suspend NAME    resume NAME    lose NAME    remove NAME    at MILLISECONDS
//! change JOB on=NODE,…
//! submit JOB CPUS [on=NODE,…] [near=NODE,…] [prio=N] [limit=MS] [parent=JOB] [lends|supervises] [reads=P] [writes=P]
//!                 [share=JOB] [again] [POOL=TENTHS]
//! recover JOB CPUS on=NODE [pieces=N] …      end JOB       cancel JOB   link JOB JOB
//! ```

use super::*;

const SITUATIONS: &[(&str, &str)] = &[
    (
        "what fits starts in the same call, the rest in order of submission",
        "node n 2
         submit 1 1 -> start 1 n
         submit 2 1 -> start 2 n
         submit 3 1
         submit 4 1
         end 2 -> start 3 n
         end 1 -> start 4 n",
    ),
    (
        "jobs are spread: least share of the cpus in use, then fewest jobs, then joining order",
        "node a 2
         node b 4
         node c 4
         submit 1 1 -> start 1 a
         submit 2 1 -> start 2 b
         submit 3 1 -> start 3 c
         submit 4 1 -> start 4 b
         submit 5 0 -> start 5 c
         submit 6 1 -> start 6 c
         submit 7 0 -> start 7 a
         end 6
         submit 8 1 -> start 8 c",
    ),
    (
        "higher priority goes first",
        "node n 1
         submit 1 1 -> start 1 n
         submit 2 1
         submit 3 1 prio=5
         end 1 -> start 3 n
         end 3 -> start 2 n",
    ),
    (
        "what is too large for every node is refused, and names the closest",
        "node a 2
         node b 4
         submit 1 5 -> refuse 1 Cpus 50000 of 40000 on b
         submit 2 3 on=a -> refuse 2 Cpus 30000 of 20000 on a
         submit 3 1 on=c -> refuse 3 unknown c",
    ),
    (
        "a job waits for the first node to join, and for a lost one to come back",
        "submit 1 2
         node a 2 -> start 1 a
         end 1
         lose a
         submit 2 2 on=a
         submit 3 2
         node b 1
         node a 2 -> start 2 a
         end 2 -> start 3 a",
    ),
    (
        "jobs on a lost node are lost; a removed node refuses those that only it could run",
        "node a 1
         node b 2
         submit 1 1 -> start 1 a
         submit 2 2 -> start 2 b
         submit 3 2
         lose b -> lost 2 b
         submit 4 1 on=b
         remove b -> refuse 3 Cpus 20000 of 10000 on a; refuse 4 unknown b
         end 2",
    ),
    (
        "a draining node finishes what it runs and starts nothing",
        "node a 2
         submit 1 1 -> start 1 a
         drain a
         submit 2 1
         end 1
         node a 2 -> start 2 a",
    ),
    (
        "max_per_node counts all jobs, whoever submitted them",
        "node n 8 max=2
         submit 1 1 -> start 1 n
         submit 2 1 -> start 2 n
         submit 3 1
         end 1 -> start 3 n",
    ),
    (
        "small jobs overtake on other nodes, and where they fit beside the first's whole request",
        "node a 4
         node b 2
         submit 1 3 -> start 1 a
         submit 2 3
         submit 3 2 -> start 3 b
         submit 4 1 -> start 4 a
         submit 5 1
         end 4 -> start 5 a
         end 3
         end 1 -> start 2 a",
    ),
    (
        "one overtakes on the kept node at most as much as leaves room for the first",
        "node n 4
         submit 1 1 -> start 1 n
         submit 2 2 -> start 2 n
         submit 3 3
         submit 4 1 -> start 4 n
         end 1
         submit 5 1
         end 2 -> start 3 n
         end 4 -> start 5 n",
    ),
    (
        "who ends in time may overtake",
        "node n 4
         at 1000
         submit 1 3 limit=100 -> start 1 n
         submit 2 4
         at 1050
         submit 3 1 limit=51
         submit 4 1 limit=50 -> start 4 n
         end 4
         end 1 -> start 2 n
         end 2 -> start 3 n",
    ),
    (
        "a cancelled first gives way to those it held up",
        "node n 4
         submit 1 2 -> start 1 n
         submit 2 4
         submit 3 2
         cancel 2 -> start 3 n
         cancel 1
         submit 4 1
         end 1 -> start 4 n",
    ),
    (
        "a job on another node's queue does not hold this one up",
        "node a 1
         node b 1
         submit 1 1 on=a -> start 1 a
         submit 2 1 on=a
         submit 3 1 -> start 3 b
         end 1 -> start 2 a",
    ),
    (
        "a pipeline whose members come one by one runs on one cpu",
        "node n 1
         submit 1 1 writes=p -> start 1 n
         submit 2 1 reads=p writes=q -> start 2 n
         submit 3 1 reads=q -> start 3 n
         submit 4 1
         end 1
         end 2
         end 3 -> start 4 n",
    ),
    (
        "queued members start together, all or none",
        "node n 4
         submit 1 3 -> start 1 n
         submit 2 1 writes=p -> start 2 n
         end 2
         submit 3 2 writes=p
         submit 4 2 reads=p
         end 1 -> start 3 n; start 4 n",
    ),
    (
        "a gang larger than every node gets a whole one",
        "node a 1
         node b 2
         submit 1 2 -> start 1 b
         submit 2 1 -> start 2 a
         submit 3 2 writes=p
         submit 4 2 reads=p
         submit 5 1 reads=p
         end 2
         submit 6 1 -> start 6 a
         end 1 -> start 5 b; start 3 b; start 4 b
         end 3
         end 5
         submit 7 1
         end 4 -> start 7 b",
    ),
    (
        "a gang is spread if no node has room for all of it",
        "node a 2
         node b 2
         submit 1 1 -> start 1 a
         submit 2 1 on=b -> start 2 b
         submit 3 1 on=a -> start 3 a
         submit 4 1 writes=p on=a
         submit 5 1 reads=p
         end 3 -> start 4 a; start 5 b",
    ),
    (
        "members with different nodes of their own wait for both",
        "node a 1
         node b 1
         submit 1 1 -> start 1 a
         submit 2 1 -> start 2 b
         submit 3 1 writes=p on=a
         submit 4 1 reads=p on=b
         end 1
         end 2 -> start 3 a; start 4 b",
    ),
    (
        "cancelling the middle of a queued gang parts its ends",
        "node n 2
         submit 1 2 -> start 1 n
         submit 2 1 writes=p
         submit 3 1 reads=p writes=q
         submit 4 1 reads=q
         cancel 3
         end 1 -> start 2 n; start 4 n",
    ),
    (
        "inode numbers are used again after their jobs have ended",
        "node n 1
         submit 1 1 writes=p -> start 1 n
         end 1
         submit 2 1 -> start 2 n
         submit 3 1 reads=p
         end 2 -> start 3 n",
    ),
    (
        "two writers without a reader, or one job with both ends, are no gang",
        "node n 1
         submit 1 1 writes=p -> start 1 n
         submit 2 1 writes=p
         submit 3 1 writes=q reads=q
         submit 4 1 writes=q reads=q
         end 1 -> start 2 n
         end 2 -> start 3 n",
    ),
    (
        "pipes through other processes join when they are found",
        "node n 1
         submit 1 1 -> start 1 n
         submit 2 1
         submit 3 1
         link 2 1 -> start 2 n",
    ),
    (
        "a job that waits for jobs it spawned lends its cpu: three deep on one",
        "node n 1
         submit 1 1 lends -> start 1 n
         submit 2 1 lends parent=1 -> start 2 n
         submit 3 1 lends parent=2 -> start 3 n
         submit 4 1 parent=3 -> start 4 n
         submit 5 1
         end 4
         end 3
         end 2
         end 1 -> start 5 n",
    ),
    (
        "what is lent goes to the lender's children first, and is taken back into debt",
        "node n 2
         submit 1 2 lends -> start 1 n
         submit 2 1
         submit 3 1 parent=1 -> start 3 n; start 2 n
         end 3
         submit 4 1
         end 2
         end 1 -> start 4 n",
    ),
    (
        "a supervisor holds nothing, not even a slot",
        "node n 1 max=1
         submit 1 1 supervises -> start 1 n
         submit 2 1 supervises -> start 2 n
         submit 3 1 parent=1 -> start 3 n",
    ),
    (
        "a child runs although all that holds its node waits for it through a pipe",
        "node n 1
         submit 1 1 lends writes=p -> start 1 n
         submit 2 1 reads=p -> start 2 n
         submit 3 1 parent=1 -> start 3 n
         submit 4 1 parent=1
         end 3 -> start 4 n
         end 4
         end 1
         end 2",
    ),
    (
        "a worker that waits for a job it submitted does not block it for ever",
        "node n 1
         submit 1 1 -> start 1 n
         submit 2 1 parent=1 -> start 2 n
         submit 3 1 parent=1
         end 2 -> start 3 n",
    ),
    (
        "a recovered job holds what it held, before its node is back and beyond its size",
        "recover 1 2 on=n
         node n 1
         recover 2 1 on=n
         submit 3 1
         end 2
         end 1 -> start 3 n",
    ),
    (
        "events that come twice or late do nothing",
        "node n 1
         submit 1 1 -> start 1 n
         submit 1 1
         recover 1 1 on=n
         end 1
         end 1
         cancel 1
         link 1 2
         lose m
         drain m",
    ),
    (
        "a pool that no node has is refused; one that a node declares is counted",
        "node n 4 licence=1
         submit 1 1 gpus=10 -> refuse 1 unknown gpus
         submit 2 1 licence=10 -> start 2 n
         submit 3 1 licence=10
         submit 4 1 -> start 4 n
         end 2 -> start 3 n",
    ),
    (
        "a fraction fits into one piece only, whole ones and a half into others",
        "node n 9 gpus=3
         submit 1 1 gpus=5 -> start 1 n gpus[0]
         submit 2 1 gpus=6 -> start 2 n gpus[1]
         submit 3 1 gpus=5 -> start 3 n gpus[0]
         submit 4 1 gpus=15
         end 2 -> start 4 n gpus[2, 1]",
    ),
    (
        "a recovered job has the pieces it was given, also when its node comes back",
        "node n 9 gpus=2
         recover 1 1 on=n gpus=10 pieces=1
         submit 2 1 gpus=5 -> start 2 n gpus[0]
         submit 3 1 gpus=10
         recover 4 1 on=m gpus=5 pieces=0
         node m 9 gpus=1
         submit 5 1 gpus=5 on=m -> start 5 m gpus[0]
         end 1 -> start 3 n gpus[1]",
    ),
    (
        "who is tried again is not sent to the end of what its run is charged for",
        "node n 1
         submit 1 1 share=1 -> start 1 n
         submit 2 1 share=1
         submit 3 1 share=2
         end 1 -> start 2 n
         submit 1 1 share=1 again
         end 2 -> start 1 n
         end 1 -> start 3 n",
    ),
    (
        "a run that comes late gets its turn among the jobs of one that came before",
        "node n 1
         submit 1 1 share=1 -> start 1 n
         submit 2 1 share=1
         submit 3 1 share=1
         submit 4 1 share=2
         end 1 -> start 2 n
         end 2 -> start 4 n
         end 4 -> start 3 n",
    ),
    (
        "a pipeline waits for another to end; what a pipeline starts does not",
        "node n 4 pipelines=1
         submit 1 1 lends -> start 1 n
         submit 2 1 supervises
         submit 3 1 parent=1 lends -> start 3 n
         submit 4 1 -> start 4 n
         end 3
         end 1 -> start 2 n",
    ),
    (
        "one writer at a time goes into debt for a running reader",
        "node n 1
         submit 1 1 reads=p -> start 1 n
         submit 2 1 writes=p -> start 2 n
         submit 3 1 writes=p
         end 2 -> start 3 n",
    ),
    (
        "who waited for a node and joins a running job takes along whom it is joined to",
        "node a 1
         node b 1
         submit 1 1 writes=p -> start 1 a
         lose b
         submit 2 1 on=b reads=p writes=q
         submit 3 1 reads=q
         node b 1 -> start 2 b; start 3 a",
    ),
    (
        "a job runs on one of its candidates, and waits for them while others are free",
        "node a 2
         node b 1
         node c 1
         submit 1 1 on=b,c,d -> start 1 b
         submit 2 1 on=b,c,d -> start 2 c
         submit 3 1 on=b,c,d
         submit 4 2 -> start 4 a
         submit 5 1 on=a,c
         end 2 -> start 3 c
         node d 1
         end 3 -> start 5 c",
    ),
    (
        "candidates that are unknown are refused; those that are down are waited for",
        "node a 1
         node b 1
         submit 1 1 on=x,y -> refuse 1 unknown x,y
         drain a
         lose b
         submit 2 1 on=a,b,x
         node b 1 -> start 2 b
         lose b -> lost 2 b
         submit 3 1 on=b,x
         submit 4 1 on=b,a
         remove b -> refuse 3 unknown b,x
         remove a -> refuse 4 unknown a,b",
    ),
    (
        "candidates that are all too small are refused, and the closest is named",
        "node a 1
         node b 3
         node c 9
         submit 1 4 on=a,b -> refuse 1 Cpus 40000 of 30000 on b
         submit 2 3 on=a,b -> start 2 b
         submit 3 2 on=a,b
         node b 1 -> refuse 3 Cpus 20000 of 10000 on a",
    ),
    (
        "a job starts near its files where there is room, and elsewhere where there is none",
        "node a 2
         node b 1
         submit 1 1 near=x,b -> start 1 b
         submit 2 1 near=b -> start 2 a
         submit 3 1 on=b near=a
         submit 4 1 near=b -> start 4 a
         end 1 -> start 3 b",
    ),
    (
        "members of a gang with candidates of their own are together where all may run",
        "node a 2
         node b 2
         node c 2
         submit 1 2 -> start 1 a
         submit 2 2 on=b -> start 2 b
         submit 3 2 on=c -> start 3 c
         submit 4 1 on=a,b writes=p
         submit 5 1 on=b,c reads=p
         end 2 -> start 4 b; start 5 b",
    ),
    (
        "a suspended node keeps its jobs and takes none, not even at the other end of a pipe",
        "node a 2
         node b 1
         submit 1 1 on=a writes=p -> start 1 a
         suspend a
         submit 2 1 -> start 2 b
         submit 3 1 on=a reads=p
         submit 4 1
         drain a
         resume a -> start 3 a
         suspend a
         node a 2
         end 1 -> start 4 a
         suspend a
         lose a -> lost 3 a; lost 4 a
         resume a
         submit 5 1 on=a
         node a 2 -> start 5 a",
    ),
    (
        "who waits gets other candidates and keeps its turn; in the queue of none it is refused",
        "node a 1
         node b 1
         submit 1 1 on=a -> start 1 a
         submit 2 1 on=a
         submit 3 1 on=a
         change 2 on=a,b -> start 2 b
         change 3 on=x -> refuse 3 unknown x
         submit 4 1 on=b
         submit 5 1 on=a
         change 4 on=a
         change 1 on=b
         end 1 -> start 4 a
         end 4 -> start 5 a",
    ),
    (
        "members of a gang that get other candidates start together still",
        "node a 2
         node b 1
         submit 1 2 on=a -> start 1 a
         submit 2 1 on=a writes=p
         submit 3 1 on=a reads=p
         node c 1
         drain c
         change 3 on=b
         change 2 on=c
         submit 4 1 on=b -> start 4 b
         node c 1
         submit 5 1 on=c
         end 4 -> start 3 b; start 2 c",
    ),
    (
        "the number of jobs counts members of gangs and those that join, on each node",
        "node a 9 max=2
         node b 9 max=2
         submit 1 1 writes=p -> start 1 a
         submit 2 1 reads=p writes=q -> start 2 a
         submit 3 1 reads=q -> start 3 b
         submit 4 1 supervises -> start 4 b
         submit 5 1 parent=4 -> start 5 b
         submit 6 1 writes=r
         submit 7 1 reads=r
         end 1
         end 3 -> start 6 a; start 7 b",
    ),
    (
        "a gang that is more than what any node takes waits for several of them",
        "node a 4 max=2
         node b 4 max=2
         submit 1 1 -> start 1 a
         submit 2 1 -> start 2 b
         submit 3 1 -> start 3 a
         submit 4 1 -> start 4 b
         submit 5 1 writes=p share=9
         submit 6 1 reads=p writes=q share=9
         submit 7 1 reads=q share=9
         end 1
         end 3
         submit 8 1
         end 2 -> start 5 a; start 6 a; start 7 b
         end 4 -> start 8 b",
    ),
    (
        "a gang that was to get the whole of a node waits for a larger one that is back",
        "node a 2
         node b 3
         submit 1 2 -> start 1 a
         submit 2 3 -> start 2 b
         suspend b
         submit 3 2 writes=p
         submit 4 1 reads=p
         submit 5 1
         resume b
         end 1 -> start 5 a
         end 2 -> start 4 b; start 3 b",
    ),
    (
        "children on another node than their parent's wait for that node, not for what it lends",
        "node a 1
         node b 1
         submit 1 1 lends on=a -> start 1 a
         submit 2 1 on=b -> start 2 b
         submit 3 1 parent=1 on=b
         submit 4 1 parent=1 -> start 4 a
         end 4
         end 2 -> start 3 b
         end 3",
    ),
    (
        "jobs that each ask for the whole node run one after the other",
        "node n 4
         submit 1 4 -> start 1 n
         submit 2 4
         submit 3 4
         end 1 -> start 2 n
         end 2 -> start 3 n",
    ),
    (
        "a node that comes back smaller refuses what it cannot run any more",
        "node n 4
         submit 1 4 -> start 1 n
         submit 2 3
         submit 3 2
         node n 2 -> refuse 2 Cpus 30000 of 20000 on n
         end 1 -> start 3 n",
    ),
];

#[test]
fn situations_come_out_as_written() {
    for (says, script) in SITUATIONS {
        let mut dispatcher = Dispatcher::new();
        let mut now = 0;
        for line in script.lines().map(str::trim) {
            let (event, expected) = line.split_once(" -> ").unwrap_or((line, ""));
            if let Some(time) = event.strip_prefix("at ") {
                now = time.parse().expect("a time in milliseconds");
                continue;
            }
            let actions = handle(&mut dispatcher, parse(event), now);
            let written = actions.iter().map(write).collect::<Vec<_>>().join("; ");
            assert_eq!(written, expected, "\n{says}:\n  {line}\n{dispatcher:#?}");
        }
    }
}

#[test]
fn explanations_name_what_is_short_and_who_is_first() {
    let mut dispatcher = Dispatcher::new();
    for line in ["node n 4", "submit 1 3", "submit 2 2", "submit 3 1", "submit 4 1 on=n"] {
        handle(&mut dispatcher, parse(line), 7);
    }
    let node = || node_name("n");
    assert_eq!(
        dispatcher.explain(JobId(1)),
        Some(Explanation::Running { node: node(), since: Timestamp(7), lending: false })
    );
    let waits = |shortage, behind, held_by: &[u64]| {
        let held_by = held_by.iter().copied().map(JobId).collect();
        let reason = Wait::Room { node: node(), shortage, held_by };
        Some(Explanation::Waiting { since: Timestamp(7), reason, behind, candidates: vec![] })
    };
    let short = |asked| Shortage::Resource { pool: Pool::Cpus, asked, available: 0 };
    assert_eq!(dispatcher.explain(JobId(2)), waits(short(20_000), None, &[1, 3]));
    assert_eq!(dispatcher.explain(JobId(4)), waits(short(10_000), Some(JobId(2)), &[1, 3]));

    handle(&mut dispatcher, parse("node n 4 max=2"), 9);
    assert_eq!(dispatcher.explain(JobId(2)), waits(Shortage::Jobs { limit: 2 }, None, &[1, 3]));

    handle(&mut dispatcher, parse("drain n"), 9);
    let reason = Wait::Node { node: Some(node()) };
    assert_eq!(
        dispatcher.explain(JobId(4)),
        Some(Explanation::Waiting {
            since: Timestamp(7),
            reason,
            behind: None,
            candidates: vec![]
        })
    );

    handle(&mut dispatcher, parse("end 1"), 9);
    assert_eq!(dispatcher.explain(JobId(1)), None);
}

#[test]
fn explanations_of_pieces_and_pipelines_name_who_holds_them() {
    let mut dispatcher = Dispatcher::new();
    for line in [
        "node n 9 gpus=2 pipelines=1",
        "submit 1 1 gpus=6",
        "submit 2 1 gpus=5",
        "submit 3 1 gpus=7",
        "submit 4 1 lends",
        "submit 5 1 supervises",
    ] {
        handle(&mut dispatcher, parse(line), 7);
    }
    let reason = |job| match dispatcher.explain(JobId(job)) {
        Some(Explanation::Waiting { reason, .. }) => reason,
        other => panic!("job {job}: {other:?}"),
    };
    let gpus = || Pool::Other(pool("gpus"));
    assert_eq!(
        reason(3),
        Wait::Room {
            node: node_name("n"),
            shortage: Shortage::Pieces { pool: gpus(), asked: 7_000 },
            held_by: vec![JobId(1), JobId(2)],
        }
    );
    let pieces = Shortage::Pieces { pool: gpus(), asked: 7_000 }.to_string();
    assert!(pieces.contains("enough gpus free, but not in pieces"), "{pieces}");
    assert_eq!(
        reason(5),
        Wait::Room {
            node: node_name("n"),
            shortage: Shortage::Supervisors { limit: 1 },
            held_by: vec![JobId(4)],
        }
    );
    assert_eq!(
        reason(5).to_string(),
        "it waits for room: n runs 1 pipelines at once and no more; most is held by job 4"
    );
}

#[test]
fn each_of_a_few_candidates_has_its_obstacle() {
    let mut dispatcher = Dispatcher::new();
    for line in [
        "node busy 4",
        "node drained 4",
        "node free 4",
        "node lost 4",
        "node small 1",
        "node suspended 4",
        "submit 1 3 on=busy",
        "drain drained",
        "lose lost",
        "suspend suspended",
        "submit 2 2 on=busy,drained,lost,nowhere,small,suspended",
        "submit 3 3 on=free",
        "submit 4 2 on=busy,free",
    ] {
        handle(&mut dispatcher, parse(line), 0);
    }
    let obstacles = |job| match dispatcher.explain(JobId(job)) {
        Some(Explanation::Waiting { candidates, .. }) => {
            candidates.iter().map(ToString::to_string).collect::<Vec<_>>()
        }
        other => panic!("job {job}: {other:?}"),
    };
    assert_eq!(
        obstacles(2),
        [
            "busy has 1 cpu free, needed are 2 cpus",
            "drained is being drained and takes no more jobs",
            "lost is not there: it has not joined, or was lost",
            "no node is named nowhere: correct the name, or add it",
            "small is too small: it has 1 cpu, needed are 2 cpus",
            "suspended cannot be reached at present",
        ]
    );
    assert_eq!(
        obstacles(4),
        ["busy has 1 cpu free, needed are 2 cpus", "free has 1 cpu free, needed are 2 cpus"]
    );
}

#[test]
fn a_refusal_names_the_nodes_that_there_are() {
    let mut dispatcher = Dispatcher::new();
    let reason = |dispatcher: &mut Dispatcher, line| match &handle(dispatcher, parse(line), 0)[..] {
        [Action::Refuse { reason, .. }] => reason.to_string(),
        other => panic!("{other:?}"),
    };
    let alone = reason(&mut dispatcher, "submit 1 1 on=x");
    assert!(alone.starts_with("no node is named x; there are none at all"), "{alone}");
    for line in ["node c 1", "node a 1", "node b 1"] {
        handle(&mut dispatcher, parse(line), 0);
    }
    let two = reason(&mut dispatcher, "submit 2 1 on=x,y");
    assert!(two.starts_with("no node is named x or y; nodes are a, b and c"), "{two}");
}

#[test]
fn a_lender_says_so() {
    let mut dispatcher = Dispatcher::new();
    for line in ["node n 1", "submit 1 1 lends", "submit 2 1 parent=1"] {
        handle(&mut dispatcher, parse(line), 3);
    }
    let since = Timestamp(3);
    assert_eq!(
        dispatcher.explain(JobId(1)),
        Some(Explanation::Running { node: node_name("n"), since, lending: true })
    );
}

#[test]
fn a_job_that_only_waits_for_its_turn_says_so() {
    let mut dispatcher = Dispatcher::new();
    for line in ["node n 4", "submit 1 2", "submit 2 4", "submit 3 2"] {
        handle(&mut dispatcher, parse(line), 0);
    }
    assert_eq!(
        dispatcher.explain(JobId(3)),
        Some(Explanation::Waiting {
            since: Timestamp(0),
            reason: Wait::Turn { node: node_name("n") },
            behind: Some(JobId(2)),
            candidates: vec![],
        })
    );
}

fn parse(line: &str) -> Event {
    let words = line.split(' ').collect::<Vec<_>>();
    let job = |at: usize| JobId(words[at].parse().expect("the number of a job"));
    let node = || node_name(words[1]);
    match words[0] {
        "node" => node_joined(&words[1..]),
        "drain" => Event::NodeDraining { node: node() },
        "suspend" => Event::NodeSuspended { node: node() },
        "resume" => Event::NodeResumed { node: node() },
        "change" => {
            Event::Candidates { job: job(1), candidates: candidates(&words[2]["on=".len()..]) }
        }
        "lose" => Event::NodeLost { node: node() },
        "remove" => Event::NodeRemoved { node: node() },
        "end" => Event::Ended { job: job(1) },
        "cancel" => Event::Cancelled { job: job(1) },
        "link" => Event::PipesLinked { a: job(1), b: job(2) },
        "submit" => Event::Submitted { job: job(1), request: request(&words[2..]) },
        "recover" => {
            let (pieces, words) =
                words[2..].iter().partition::<Vec<&str>, _>(|word| word.starts_with("pieces="));
            let number = |word: &&str| word["pieces=".len()..].parse().expect("a number");
            let pieces = pieces.iter().map(number).collect::<Vec<u32>>();
            let indices = (!pieces.is_empty()).then(|| (pool("gpus"), pieces));
            let mut request = request(&words);
            let candidates = std::mem::take(&mut request.candidates);
            let node = candidates.names().first().expect("on=NODE").clone();
            let indices = indices.into_iter().collect();
            Event::Recovered { job: job(1), request, node, indices }
        }
        other => panic!("no such event: {other}"),
    }
}

fn candidates(names: &str) -> Candidates {
    Candidates::among(names.split(',').map(node_name))
}

fn node_joined(words: &[&str]) -> Event {
    let (mut max_jobs, mut max_supervisors, mut indexed) = (None, None, BTreeMap::new());
    let mut capacity = cpus(words[1].parse().expect("a number of cpus"));
    for word in &words[2..] {
        let (key, value) = word.split_once('=').expect("KEY=VALUE");
        let number = || value.parse::<u32>().expect("a number");
        match key {
            "max" => max_jobs = Some(number()),
            "pipelines" => max_supervisors = Some(number()),
            "gpus" => drop(indexed.insert(pool(key), number())),
            other => drop(capacity.others.insert(pool(other), Amount::whole(number().into()))),
        }
    }
    Event::NodeJoined { node: node_name(words[0]), capacity, max_jobs, max_supervisors, indexed }
}

fn pool(name: &str) -> PoolName {
    PoolName::new(name).expect("the name of a pool")
}

fn request(words: &[&str]) -> Request {
    let mut request = Request {
        resources: cpus(words[0].parse().expect("a number of cpus")),
        ..Request::default()
    };
    for word in &words[1..] {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<i64>().expect("a number");
        let pipe = || PipeId { device: 0, inode: value.as_bytes()[0].into() };
        match key {
            "on" => request.candidates = candidates(value),
            "near" => request.near = Some(value.split(',').map(node_name).collect()),
            "prio" => request.priority = number() as i32,
            "limit" => request.time_limit = Some(number() as u64),
            "parent" => request.parent = Some(JobId(number() as u64)),
            "lends" => request.holds = Holds::Lends,
            "supervises" => request.holds = Holds::Supervisor,
            "reads" => request.pipes.push((pipe(), End::Read)),
            "writes" => request.pipes.push((pipe(), End::Write)),
            "share" => request.share = Some(JobId(number() as u64)),
            "again" => request.again = true,
            other => {
                let tenths = value.parse::<u64>().expect("a number of tenths");
                request.resources.others.insert(pool(other), Amount(tenths * 1_000));
            }
        }
    }
    request
}

fn write(action: &Action) -> String {
    match action {
        Action::Start { job, node, indices, .. } => {
            let pieces = indices.iter().map(|(pool, pieces)| format!(" {pool}{pieces:?}"));
            format!("start {job} {node}{}", pieces.collect::<String>())
        }
        Action::Lost { job, node } => format!("lost {job} {node}"),
        Action::Refuse { job, reason: Refusal::UnknownPool { pool, .. } } => {
            format!("refuse {job} unknown {pool}")
        }
        Action::Refuse { job, reason: Refusal::UnknownNodes { asked, .. } } => {
            let asked = asked.iter().map(|node| &*node.0).collect::<Vec<_>>();
            format!("refuse {job} unknown {}", asked.join(","))
        }
        Action::Refuse { job, reason: Refusal::TooLarge { pool, asked, largest, node } } => {
            format!("refuse {job} {pool:?} {asked} of {largest} on {node}")
        }
    }
}
