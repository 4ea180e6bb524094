//! The same bookkeeping as the dispatcher's, done the slow and obvious way: every answer is worked
//! out anew from the jobs and nodes. It checks each action, and after each event the state.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What is known of a node.
#[derive(Debug)]
struct MirrorNode {
    /// `None` until it joins.
    capacity: Option<Load>,
    open: bool,
}

/// What is known of a job.
#[derive(Debug)]
struct MirrorJob {
    request: Request,
    node: Option<NodeName>,
    links: BTreeSet<JobId>,
}

/// A dispatcher and its mirror image.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) dispatcher: Dispatcher,
    nodes: BTreeMap<NodeName, MirrorNode>,
    jobs: BTreeMap<JobId, MirrorJob>,
    /// The gang of each job, named after its first member.
    gangs: BTreeMap<JobId, JobId>,
    /// The jobs that have live children.
    parents: BTreeSet<JobId>,
}

impl Mirror {
    /// Lets the dispatcher handle an event and checks what follows. Returns the actions.
    pub(super) fn handle(&mut self, event: Event, now: u64) -> Vec<Action> {
        let actions = super::handle(&mut self.dispatcher, event.clone(), now);
        let mut lost = Vec::new();
        self.apply(event, &mut lost);
        for action in &actions {
            if let Action::Refuse { job, .. } = action {
                let known = self.jobs.get(job).expect("only known jobs are refused");
                assert!(known.node.is_none(), "{job} runs and cannot be refused");
                assert!(!self.may_ever_fit(&known.request), "{job} was refused but fits");
                self.remove(*job);
            }
        }
        self.relate();
        let ran_before = self.running();
        let mut starts = Vec::new();
        for action in &actions {
            match action {
                Action::Start { job, node, resources } => {
                    let known = &self.jobs[job];
                    assert!(known.node.is_none(), "{job} started twice");
                    let asked = granted(&known.request);
                    assert_eq!(loads(resources).with_most_jobs(Some(asked.slots)), asked);
                    starts.push((*job, node.clone()));
                }
                Action::Refuse { .. } => {}
                Action::Lost { job, .. } => {
                    assert!(lost.contains(job), "{job} was not on the lost node");
                    lost.retain(|known| known != job);
                }
            }
        }
        assert_eq!(lost, [], "jobs of the lost node were not reported");
        self.check_starts(starts, &ran_before);
        self.check_state();
        actions
    }

    /// The jobs that run.
    pub(super) fn running(&self) -> BTreeSet<JobId> {
        let running = self.jobs.iter().filter(|(_, job)| job.node.is_some());
        running.map(|(&id, _)| id).collect()
    }

    /// The jobs that wait.
    pub(super) fn queued(&self) -> BTreeSet<JobId> {
        let queued = self.jobs.iter().filter(|(_, job)| job.node.is_none());
        queued.map(|(&id, _)| id).collect()
    }

    /// The jobs joined to this one by pipes, itself included.
    pub(super) fn gang(&self, job: JobId) -> BTreeSet<JobId> {
        let gang = self.gangs[&job];
        self.gangs.iter().filter(|(_, of)| **of == gang).map(|(&member, _)| member).collect()
    }

    /// Works out anew who is joined to whom and who has children.
    fn relate(&mut self) {
        self.parents = self.jobs.values().filter_map(|job| job.request.parent).collect();
        let mut pipes = BTreeMap::<_, (BTreeSet<_>, BTreeSet<_>)>::new();
        for (&id, job) in &self.jobs {
            for (pipe, end) in streams(&job.request) {
                let (ends, members) = pipes.entry(pipe).or_default();
                ends.insert(end);
                members.insert(id);
            }
        }
        let joined = pipes.into_values().filter(|(ends, _)| ends.len() == 2);
        let mut groups = joined.map(|(_, members)| members).collect::<Vec<_>>();
        for (&id, job) in &self.jobs {
            groups.extend(job.links.iter().map(|&other| BTreeSet::from([id, other])));
        }
        self.gangs = self.jobs.keys().map(|&id| (id, id)).collect();
        loop {
            let before = self.gangs.clone();
            for group in &groups {
                let first = group.iter().map(|member| self.gangs[member]).min();
                self.gangs.extend(group.iter().copied().zip(first.into_iter().cycle()));
            }
            if self.gangs == before {
                break;
            }
        }
    }

    fn has_children(&self, parent: JobId) -> bool {
        self.parents.contains(&parent)
    }

    fn held(&self, job: JobId) -> Load {
        match self.jobs[&job].request.holds {
            Holds::Lends if self.has_children(job) => Load::NONE,
            _ => granted(&self.jobs[&job].request),
        }
    }

    fn on_node<'a>(&'a self, node: &'a NodeName) -> impl Iterator<Item = JobId> + 'a {
        self.jobs.iter().filter(|(_, job)| job.node.as_ref() == Some(node)).map(|(&id, _)| id)
    }

    fn used(&self, node: &NodeName) -> Load {
        Load::sum(self.on_node(node).map(|job| self.held(job)))
    }

    fn capacity(&self, node: &NodeName) -> Load {
        self.nodes[node].capacity.unwrap_or_default()
    }

    /// Whether a job on that node holds something and can end without any queued job.
    fn has_independent(&self, node: &NodeName) -> bool {
        self.on_node(node).any(|job| !self.held(job).is_none() && self.is_independent(job))
    }

    fn is_independent(&self, job: JobId) -> bool {
        let running = self.gang(job).into_iter().filter(|id| self.jobs[id].node.is_some());
        !running.collect::<Vec<_>>().into_iter().any(|member| self.has_children(member))
    }

    fn open_nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().filter(|(_, node)| node.open).map(|(name, _)| name)
    }

    fn may_ever_fit(&self, request: &Request) -> bool {
        let fits = |node: &MirrorNode| {
            let asked = granted(request);
            node.capacity.is_none_or(|capacity| asked.amounts_fit_in(&capacity))
        };
        if let Some(name) = &request.node {
            return self.nodes.get(name).is_some_and(fits);
        }
        let mut known = self.nodes.values().filter(|node| node.capacity.is_some()).peekable();
        known.peek().is_none() || known.any(fits)
    }

    fn apply(&mut self, event: Event, lost: &mut Vec<JobId>) {
        match event {
            Event::NodeJoined { node, capacity, max_jobs } => {
                let capacity = Some(loads(&capacity).with_most_jobs(max_jobs));
                self.nodes.insert(node, MirrorNode { capacity, open: true });
            }
            Event::NodeDraining { node } => self.close(&node),
            Event::NodeLost { node } => {
                self.close(&node);
                self.lose_jobs(&node, lost);
            }
            Event::NodeRemoved { node } => {
                self.nodes.remove(&node);
                self.lose_jobs(&node, lost);
            }
            Event::Submitted { job, request } => self.add(job, request, None),
            Event::Recovered { job, request, node } => {
                self.nodes
                    .entry(node.clone())
                    .or_insert(MirrorNode { capacity: None, open: false });
                self.add(job, request, Some(node));
            }
            Event::PipesLinked { a, b } => {
                if a != b && self.jobs.contains_key(&a) && self.jobs.contains_key(&b) {
                    for (a, b) in [(a, b), (b, a)] {
                        self.jobs.get_mut(&a).expect("checked above").links.insert(b);
                    }
                }
            }
            Event::Cancelled { job } => {
                if self.jobs.get(&job).is_some_and(|job| job.node.is_none()) {
                    self.remove(job);
                }
            }
            Event::Ended { job } => self.remove(job),
        }
    }

    fn add(&mut self, job: JobId, request: Request, node: Option<NodeName>) {
        let links = BTreeSet::new();
        self.jobs.entry(job).or_insert(MirrorJob { request, node, links });
    }

    fn remove(&mut self, job: JobId) {
        self.jobs.remove(&job);
        for other in self.jobs.values_mut() {
            other.links.remove(&job);
        }
    }

    fn close(&mut self, node: &NodeName) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.open = false;
        }
    }

    fn lose_jobs(&mut self, node: &NodeName, lost: &mut Vec<JobId>) {
        lost.extend(self.on_node(node).collect::<Vec<_>>());
        for &job in &*lost {
            self.remove(job);
        }
    }

    /// Checks the starts of one call, in their order, gang by gang.
    fn check_starts(&mut self, starts: Vec<(JobId, NodeName)>, ran_before: &BTreeSet<JobId>) {
        let mut starts = starts.into_iter().peekable();
        while let Some((job, node)) = starts.next() {
            assert!(self.jobs[&job].request.node.as_ref().is_none_or(|pin| *pin == node));
            let gang = self.gang(job);
            if gang.iter().any(|member| ran_before.contains(member)) {
                self.jobs.get_mut(&job).expect("it was just looked at").node = Some(node);
                continue;
            }
            let mut unit = vec![(job, node)];
            while unit.len() < gang.len() {
                let (member, node) = starts.next().expect("a gang starts as a whole");
                assert!(gang.contains(&member), "{member} started amid the gang {gang:?}");
                assert!(self.jobs[&member].request.node.as_ref().is_none_or(|pin| *pin == node));
                unit.push((member, node));
            }
            self.check_order(&unit);
            self.check_room(&unit);
            for (member, node) in unit {
                self.jobs.get_mut(&member).expect("it is of the gang").node = Some(node);
            }
        }
    }

    /// Each node has room for what starts there, or a reason to go into debt.
    fn check_room(&self, unit: &[(JobId, NodeName)]) {
        let nodes = unit.iter().map(|(_, node)| node).collect::<BTreeSet<_>>();
        let mut shares = Vec::new();
        for node in nodes {
            assert!(self.nodes[node].open, "{node} takes no jobs");
            let here = unit.iter().filter(|(_, on)| on == node);
            let asked = Load::sum(here.map(|&(job, _)| granted(&self.jobs[&job].request)));
            shares.push((node, asked));
        }
        let fits = |&(node, asked): &(&NodeName, Load)| {
            asked.fits_in(&self.capacity(node).minus(self.used(node)))
        };
        if shares.iter().all(fits) {
            return;
        }
        for (node, asked) in shares {
            let capped = asked.min(self.capacity(node));
            let idle_enough = capped.fits_in(&self.capacity(node).minus(self.used(node)));
            assert!(
                idle_enough || !self.has_independent(node),
                "{unit:?} over-commits {node} without a reason"
            );
            let whole = Load::sum(unit.iter().map(|(job, _)| granted(&self.jobs[job].request)));
            let has_pins = unit.iter().any(|(job, _)| self.jobs[job].request.node.is_some());
            let larger = self.open_nodes().find(|node| whole.fits_in(&self.capacity(node)));
            assert!(
                capped == asked || has_pins || larger.is_none(),
                "{unit:?} takes all of {node}, and {larger:?} is large enough"
            );
        }
    }

    /// Nobody who asks for the same and waited longer was overtaken.
    fn check_order(&self, unit: &[(JobId, NodeName)]) {
        let [(job, _)] = unit else { return };
        let started = &self.jobs[job].request;
        for (&other, waiting) in self.jobs.iter().filter(|(_, other)| other.node.is_none()) {
            let same = |a: &Request, b: &Request| {
                (granted(a), &a.node, a.time_limit) == (granted(b), &b.node, b.time_limit)
            };
            if other == *job || !same(started, &waiting.request) || self.gang(other).len() > 1 {
                continue;
            }
            let key = |id, request: &Request| (Reverse(request.priority), self.turn(id), id);
            assert!(
                key(*job, started) < key(other, &waiting.request),
                "{job} overtook {other}, which asks for the same"
            );
        }
    }

    fn turn(&self, job: JobId) -> JobId {
        self.dispatcher.jobs.get(&job).map_or(job, |job| job.place.turn)
    }

    /// The dispatcher counts as we do, and nobody waits who could run.
    fn check_state(&self) {
        for (index, node) in self.dispatcher.nodes.all() {
            let running = self.on_node(&node.name).collect::<BTreeSet<_>>();
            assert_eq!(node.running, running, "jobs on {}", node.name);
            assert_eq!(node.used, self.used(&node.name), "held on {}", node.name);
            assert_eq!(node.independent > 0, self.has_independent(&node.name), "{}", node.name);
            assert!(!self.dispatcher.freed.contains(&index));
        }
        let known = self.dispatcher.jobs.keys().copied().collect::<BTreeSet<_>>();
        assert_eq!(known, self.jobs.keys().copied().collect());
        if self.jobs.is_empty() {
            assert!(self.dispatcher.pipes.is_empty());
            assert!(self.dispatcher.children.is_empty() && self.dispatcher.gangs.is_empty());
            assert_eq!(self.dispatcher.queue.lines().count(), 0);
            assert_eq!(self.dispatcher.dependents, 0);
            assert!(self.dispatcher.reservation.is_none());
        }
        for job in self.queued() {
            self.check_waits_for_a_reason(job);
        }
    }

    fn check_waits_for_a_reason(&self, job: JobId) {
        let request = &self.jobs[&job].request;
        let gang = self.gang(job);
        let is_usable = |node: &&NodeName| {
            request.node.as_ref().is_none_or(|pin| pin == *node)
                && granted(request).fits_in(&self.capacity(node).minus(self.used(node)))
        };
        if gang.len() > 1 {
            let runs = gang.iter().any(|member| self.jobs[member].node.is_some());
            let has_node = self.open_nodes().any(|node| {
                request.node.as_ref().is_none_or(|pin| pin == node)
                    && granted(request).fits_in(&self.capacity(node))
            });
            assert!(
                !(runs && has_node),
                "{job} lets a running job wait at the other end of a pipe"
            );
            return;
        }
        for node in self.open_nodes().filter(is_usable) {
            let index = self.dispatcher.nodes.find(node).expect("the dispatcher knows it too");
            assert!(self.dispatcher.is_reserved(index), "{job} waits although {node} has room");
            let first = self.dispatcher.queue.head().expect("a job waits").0;
            assert_ne!(first.job, job, "the first in the queue waits although {node} has room");
        }
    }
}

/// As the dispatcher has them in the test, where all pools are known from the start.
fn loads(resources: &Resources) -> Load {
    Pools::default().known_load(resources)
}

fn granted(request: &Request) -> Load {
    match request.holds {
        Holds::Supervisor => Load::NONE,
        Holds::Worker | Holds::Lends => loads(&request.resources).of_one_job(),
    }
}

/// The ends of the pipes of which the job has one end only.
fn streams(request: &Request) -> BTreeSet<(PipeId, End)> {
    let ends = request.pipes.iter().copied().collect::<BTreeSet<_>>();
    let has_both = |pipe| [End::Read, End::Write].iter().all(|&end| ends.contains(&(pipe, end)));
    ends.iter().copied().filter(|&(pipe, _)| !has_both(pipe)).collect()
}
