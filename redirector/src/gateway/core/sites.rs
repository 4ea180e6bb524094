//! Which nodes a job may run on.
//!
//! A job may run on a host that has everything its rule asks for, its program and its working
//! directory. The latter two the host's agent is asked for, once for each; until it has answered,
//! the host is no candidate:
//!
//! ```text
//!   queued ─► known of all hosts? ─ yes ─► the dispatcher, or refused if there is none
//!                  │ no: Probe ─► …
//!                  └─► the dispatcher with those that are known to be; kept back if none is
//!                                  Probed ─► once more
//! ```

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Core, fleet::Node, live::Live, pools::Next};

pub(super) use super::need::Need;
use crate::{
    agent::{
        probe,
        protocol::{Identity, Order, Probe, Probed},
    },
    dispatcher::{Candidates, Event},
    gateway::message::Message,
    model::{JobId, NodeName, Outcome, Spec, State, Text, Timestamp},
    protocol::GatewayMessage,
};

/// What a host did not have is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What a node is known to have.
#[derive(Default)]
pub(super) struct Knowledge {
    programs: HashMap<Text, (Option<Text>, Instant)>,
    directories: HashMap<Text, (Option<Identity>, Instant)>,
    /// What was asked and not answered.
    asked: HashSet<Text>,
}

/// Jobs for which not all is known yet.
#[derive(Default)]
pub(super) struct Unsettled {
    /// The dispatcher knows of some nodes for them.
    some: BTreeSet<JobId>,
    /// No node is known for them, so the dispatcher does not have them.
    none: BTreeSet<JobId>,
}

/// What a node was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding<T> {
    Found(T),
    Missing,
    NotKnown,
}

impl<T> Finding<T> {
    fn is_known(&self) -> bool {
        !matches!(self, Self::NotKnown)
    }
}

/// Whether a node can run a job.
enum Verdict {
    Yes,
    No(String),
    NotKnown,
}

impl Unsettled {
    pub(super) fn forget(&mut self, job: JobId) {
        self.some.remove(&job);
        self.none.remove(&job);
    }

    /// The dispatcher knows of some nodes for these, and there may be more by now.
    pub(super) fn reconsider(&mut self, jobs: Vec<JobId>) {
        for job in jobs {
            if !self.none.contains(&job) {
                self.some.insert(job);
            }
        }
    }

    /// The dispatcher does not know of the job any more.
    pub(super) fn keep_back(&mut self, job: JobId) {
        self.some.remove(&job);
        self.none.insert(job);
    }

    /// Whether the dispatcher does not know of the job yet.
    pub(super) fn is_kept_back(&self, job: JobId) -> bool {
        self.none.contains(&job)
    }
}

impl Knowledge {
    /// Forgets what its agent does not have to have any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn program(&self, program: &Text) -> Finding<Text> {
        finding(self.programs.get(program))
    }

    fn directory(&self, directory: &Text) -> Finding<Identity> {
        finding(self.directories.get(directory))
    }

    fn note(&mut self, probed: Probed) {
        let now = Instant::now();
        let Probed { probe, programs, directories } = probed;
        for (program, found) in probe.programs.into_iter().zip(programs) {
            self.asked.remove(&program);
            self.programs.insert(program, (found, now));
        }
        for (directory, found) in probe.directories.into_iter().zip(directories) {
            self.asked.remove(&directory);
            self.directories.insert(directory, (found, now));
        }
    }

    /// Those of `things` that nobody has been asked for.
    fn unasked(&mut self, things: Vec<Text>) -> Vec<Text> {
        things.into_iter().filter(|thing| self.asked.insert(thing.clone())).collect()
    }
}

/// What there is to be found, as far as it counts still.
fn finding<T: Clone>(known: Option<&(Option<T>, Instant)>) -> Finding<T> {
    match known {
        Some((Some(found), _)) => Finding::Found(found.clone()),
        Some((None, at)) if at.elapsed() < ASK_AGAIN => Finding::Missing,
        _ => Finding::NotKnown,
    }
}

/// Where a job's program is on a host.
pub(super) fn program_there(need: &Need, node: &Node) -> Finding<Text> {
    let Some(remote) = &node.host else { return Finding::NotKnown };
    let mut is_all_known = true;
    for name in &probe::names(&remote.mapping.program(&need.program)) {
        match node.knowledge.program(name) {
            found @ Finding::Found(_) => return found,
            Finding::Missing => {}
            Finding::NotKnown => is_all_known = false,
        }
    }
    if is_all_known { Finding::Missing } else { Finding::NotKnown }
}

/// What a job's program is called on a node.
pub(super) fn program_on(node: &Node, spec: &Spec) -> Text {
    match (program_there(&Need::of(spec), node), &node.host) {
        (Finding::Found(program), _) => program,
        (_, Some(remote)) => remote.mapping.program(&spec.program),
        (_, None) => spec.program.clone(),
    }
}

impl Core {
    /// Hands a queued job to the dispatcher, as soon as it is known where it may run.
    pub(super) fn submit_to_dispatcher(&mut self, job: JobId) {
        if self.wish_for_node(job).is_break() {
            return;
        }
        let has_choice = self.fleet.has_hosts();
        let is_here = |need: &Arc<Need>| {
            need.placement.host.is_some() || has_choice || self.may_need_pool(need)
        };
        let Some(live) = self.live.get(&job) else { return };
        let Some(need) = live.need.clone().filter(is_here) else {
            let request = live.request.clone();
            return self.dispatch(Event::Submitted { job, request });
        };
        self.unsettled.none.insert(job);
        self.settle(job, &need);
    }

    /// What is known of the nodes has changed.
    pub(super) fn settle_all(&mut self) {
        let unsettled = self.unsettled.some.iter().chain(&self.unsettled.none);
        for job in unsettled.copied().collect::<Vec<_>>() {
            let need = self.live.get(&job).and_then(|live| live.need.clone());
            match need {
                Some(need) => self.settle(job, &need),
                None => self.unsettled.forget(job),
            }
        }
    }

    fn settle(&mut self, job: JobId, need: &Need) {
        let (mut able, mut reasons) = (Vec::new(), Vec::new());
        let (mut is_asked, mut is_away) = (false, false);
        let lent = self.lent_to(job, need);
        // Of an allocation that is just being asked for the fleet may know nothing yet.
        let is_to_come = |name: &NodeName| self.fleet.get(name).is_none();
        let is_lent_later =
            lent.as_ref().is_some_and(|lent| lent.is_empty() || lent.iter().any(is_to_come));
        for (name, node) in self.sites(lent.as_deref()) {
            match self.verdict(need, name, node) {
                Verdict::Yes => able.push(name.clone()),
                Verdict::No(reason) => reasons.push(format!("{name}: {reason}")),
                // When it is connected, all jobs are looked at again.
                Verdict::NotKnown if !node.is_up() => is_away = true,
                Verdict::NotKnown => is_asked = true,
            }
        }
        if is_asked {
            self.ask(need);
        }
        let was_kept_back = self.unsettled.is_kept_back(job);
        self.unsettled.forget(job);
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.state != State::Queued {
            return;
        }
        if able.is_empty() && !is_asked && !is_away && !is_lent_later {
            let reason = self.why_nowhere(need, &reasons);
            let Next::Refused(reason) = self.refused_by_pool(job, reason) else { return };
            self.say(job, GatewayMessage::Refused { reason: reason.clone() });
            self.conclude(job, Outcome::Refused { reason }, None, Timestamp::now());
            return;
        }
        // Else it would be on its way to a worse place when the best one answers.
        let avoided = live.avoided.as_ref();
        let is_choosy =
            !need.placement.near.is_empty() || able.iter().all(|it| Some(it) == avoided);
        let awaits_the_best = was_kept_back && is_asked && is_choosy;
        if able.is_empty() || awaits_the_best {
            self.unsettled.none.insert(job);
            if !was_kept_back && lent.is_some() {
                // An allocation for which it was queued has no time for it any more.
                self.dispatch(Event::Cancelled { job });
            }
            return;
        }
        if is_asked {
            self.unsettled.some.insert(job);
        }
        let near = match avoided {
            Some(bad) => able.iter().filter(|node| *node != bad).cloned().collect(),
            None => need.placement.near.clone(),
        };
        let candidates = match &*able {
            [only] => Candidates::One(only.clone()),
            _ => Candidates::Among(self.fleet_lists.shared(able)),
        };
        live.request.near = (!near.is_empty()).then(|| self.fleet_lists.shared(near));
        let is_same = live.request.candidates == candidates;
        live.request.candidates = candidates.clone();
        if was_kept_back {
            let request = live.request.clone();
            self.dispatch(Event::Submitted { job, request });
        } else if !is_same {
            self.dispatch(Event::Candidates { job, candidates });
        }
    }

    /// The nodes that are worth a look: those that were lent for a job, or all others.
    fn sites<'a>(
        &'a self,
        lent: Option<&'a [NodeName]>,
    ) -> Box<dyn Iterator<Item = (&'a NodeName, &'a Node)> + 'a> {
        match lent {
            Some(lent) => {
                Box::new(lent.iter().filter_map(|name| Some((name, self.fleet.get(name)?))))
            }
            None => Box::new(self.fleet.all().filter(|(_, node)| !node.is_lent())),
        }
    }

    /// Looks once more where all queued jobs may run: a node has joined or left.
    pub(super) fn settle_queued(&mut self) {
        let is_queued = |live: &Live| live.state == State::Queued && live.need.is_some();
        let queued = self.live.iter().filter(|(_, live)| is_queued(live)).map(|(job, _)| *job);
        self.unsettled.reconsider(queued.collect());
        self.settle_all();
    }

    fn why_nowhere(&self, need: &Need, reasons: &[String]) -> String {
        let local = need.is_local().then_some(&self.fleet.own);
        match need.placement.host.as_ref().or(local) {
            Some(host) if self.fleet.get(host).is_none() => {
                let known: Vec<_> = self.fleet.all().map(|(name, _)| name.to_string()).collect();
                format!("there is no node {host}; nodes are {}", known.join(", "))
            }
            // What is wrong with the others is of no interest.
            Some(host) => {
                let of_host = format!("{host}: ");
                let reason = reasons.iter().find_map(|reason| reason.strip_prefix(&of_host));
                format!("{host} cannot run it: {}", reason.unwrap_or("it is not there"))
            }
            None => {
                let why = self.why_not_this_pool(need);
                why.unwrap_or_else(|| format!("no node can run it ({})", reasons.join("; ")))
            }
        }
    }

    /// Why a job for which no node is known yet waits.
    pub(super) fn why_kept_back(&self, job: JobId, need: &Need) -> Vec<String> {
        let lent = self.lent_to(job, need);
        let line = |(name, node): (&NodeName, &Node)| match self.verdict(need, name, node) {
            Verdict::Yes => None,
            Verdict::No(reason) => Some(format!("{name}: {reason}")),
            Verdict::NotKnown => {
                let problem = self.why_no_agent(name).or_else(|| node.problem.clone());
                let problem = problem.unwrap_or_else(|| "it has yet to say what it has".to_owned());
                Some(format!("{name}: {problem}"))
            }
        };
        if let Some(pool) = lent.as_ref().filter(|lent| lent.is_empty()).and(need.pool()) {
            return vec![format!(
                "pool '{pool}' has no allocation with room or time for it, and asks for another one \
                 when it may have one more"
            )];
        }
        self.sites(lent.as_deref()).filter_map(line).collect()
    }

    fn verdict(&self, need: &Need, name: &NodeName, node: &Node) -> Verdict {
        let placement = &need.placement;
        if let Some(reason) = need.forbids(name, &self.fleet.own) {
            return Verdict::No(reason);
        }
        let Some(remote) = &node.host else {
            let own = node.facts.as_ref().map_or(&[][..], |facts| &facts.tags);
            let mut asked = need.pool().into_iter().chain(&placement.tags);
            // Of a list, no pool is passed over because there are no other nodes.
            let counts =
                |tag| self.fleet.has_hosts() || need.has_list() && need.pool() == Some(tag);
            return match asked.find(|tag| !own.contains(tag)) {
                Some(tag) if counts(tag) => Verdict::No(format!("it has no tag '{tag}'")),
                _ => Verdict::Yes,
            };
        };
        if need.is_bound && placement.host.is_none() {
            return Verdict::No(
                "what comes out of it can only run on the gateway's node".to_owned(),
            );
        }
        let mut asked = placement.tags.iter().chain(need.pool());
        if let Some(missing) = asked.find(|tag| !remote.host.tags.contains(tag)) {
            return Verdict::No(format!("it has no tag '{missing}'"));
        }
        if node.facts.is_none() {
            return Verdict::NotKnown;
        }
        let stages = placement.stage.unwrap_or(remote.host.stage);
        if !stages {
            let there = remote.mapping.directory(&need.directory);
            let found = match node.knowledge.directory(&there) {
                Finding::Found(found) => found,
                Finding::NotKnown => return Verdict::NotKnown,
                Finding::Missing => {
                    let there = there.to_string_lossy();
                    return Verdict::No(format!(
                        "it has no directory {there} (what needs nothing there can start in /)"
                    ));
                }
            };
            // Every computer has a root of its own.
            if there == need.directory && there.as_bytes() != b"/" {
                match self.fleet.own().knowledge.directory(&there) {
                    Finding::Found(here) if here.is_same(found) => {}
                    Finding::NotKnown => return Verdict::NotKnown,
                    Finding::Found(_) | Finding::Missing => {
                        let there = there.to_string_lossy();
                        return Verdict::No(format!("its {there} is another directory"));
                    }
                }
            }
        }
        match program_there(need, node) {
            Finding::NotKnown => Verdict::NotKnown,
            Finding::Missing => {
                let program = need.program.to_string_lossy();
                Verdict::No(format!("it has no program {program}"))
            }
            Finding::Found(_) => Verdict::Yes,
        }
    }

    /// Has all connected hosts look for what a job needs.
    fn ask(&mut self, need: &Need) {
        let mut is_own_asked = false;
        for (_, node) in self.fleet.all_mut() {
            let Some(remote) = &node.host else { continue };
            let is_other = || need.pool().is_none_or(|pool| !remote.host.tags.contains(pool));
            if !node.is_up() || node.is_lent() && is_other() {
                continue;
            }
            let programs = probe::names(&remote.mapping.program(&need.program));
            let programs: Vec<_> =
                programs.into_iter().filter(|it| !node.knowledge.program(it).is_known()).collect();
            let directory = remote.mapping.directory(&need.directory);
            is_own_asked |= directory == need.directory;
            let mut directories = vec![directory];
            directories.retain(|it| !node.knowledge.directory(it).is_known());
            let programs = node.knowledge.unasked(programs);
            let directories = node.knowledge.unasked(directories);
            if !programs.is_empty() || !directories.is_empty() {
                node.order(Order::Probe(Probe { programs, directories }));
            }
        }
        if is_own_asked {
            self.look_here(need.directory.clone());
        }
    }

    /// Looks at a directory on this computer, off this thread: its file system may hang.
    fn look_here(&mut self, directory: Text) {
        let own = self.fleet.own.clone();
        let Some(node) = self.fleet.get_mut(&own) else { return };
        if node.knowledge.directory(&directory).is_known() {
            return;
        }
        let directories = node.knowledge.unasked(vec![directory]);
        if directories.is_empty() {
            return;
        }
        let messages = self.setup.messages.clone();
        tokio::task::spawn_blocking(move || {
            let probe = Probe { directories, ..Probe::default() };
            let probed = probe::look(probe, None);
            // Fails only when the core is gone.
            drop(messages.send(Message::AgentProbed { node: own, probed }));
        });
    }

    pub(super) fn agent_probed(&mut self, name: &NodeName, probed: Probed) {
        if let Some(node) = self.fleet.get_mut(name) {
            node.knowledge.note(probed);
            self.settle_all();
        }
    }
}

/// Lists of nodes, each of which is kept once however many jobs have it.
#[derive(Default)]
pub(super) struct Lists(HashSet<Arc<[NodeName]>>);

impl Lists {
    fn shared(&mut self, mut nodes: Vec<NodeName>) -> Arc<[NodeName]> {
        nodes.sort_unstable();
        if let Some(list) = self.0.get(&*nodes) {
            return Arc::clone(list);
        }
        let list: Arc<[NodeName]> = nodes.into();
        self.0.insert(Arc::clone(&list));
        list
    }
}
