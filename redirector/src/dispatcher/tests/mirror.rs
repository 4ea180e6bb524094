//! The same bookkeeping as the dispatcher's, done the slow and obvious way: every answer is worked
//! out anew from the jobs and nodes. It checks each action, and after each event the state.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::dispatcher::job::State;

/// What is known of a node.
#[derive(Debug)]
struct MirrorNode {
    /// `None` until it joins.
    capacity: Option<Load>,
    gpus: Option<u32>,
    open: bool,
    suspended: bool,
}

/// What is known of a job.
#[derive(Debug)]
struct MirrorJob {
    request: Request,
    load: Load,
    node: Option<NodeName>,
    /// It is bound to the place of a running job.
    is_promised: bool,
    indices: Indices,
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
        let mut starts = Vec::new();
        for action in &actions {
            match action {
                Action::Start { job, node, resources, indices } => {
                    let known = &self.jobs[job];
                    assert!(known.node.is_none(), "{job} started twice");
                    let load = known.load;
                    let counts = (Some(load.slots), Some(load.supervisors));
                    assert_eq!(loads(resources).of_node(counts.0, counts.1), load);
                    let indices = indices.iter().map(|(_, pieces)| (GPUS, pieces.clone()));
                    let indices = Indices::new(indices.collect());
                    self.jobs.get_mut(job).expect("it was just looked at").indices = indices;
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
        self.check_starts(starts);
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
        let queued = self.jobs.iter().filter(|(_, job)| job.node.is_none() && !job.is_promised);
        queued.map(|(&id, _)| id).collect()
    }

    /// The jobs that are bound to the place of a running one.
    pub(super) fn promised(&self) -> BTreeSet<JobId> {
        let promised = self.jobs.iter().filter(|(_, job)| job.is_promised);
        promised.map(|(&id, _)| id).collect()
    }

    /// Whether `waiting` can be in the place of `running`.
    pub(super) fn can_follow(&self, waiting: JobId, running: JobId) -> bool {
        let (waiting, running) = (&self.jobs[&waiting], &self.jobs[&running]);
        let is_there = |node| waiting.request.candidates.include(node);
        waiting.load == running.load
            && waiting.request.time_limit == running.request.time_limit
            && running.node.as_ref().is_some_and(is_there)
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

    fn held(&self, id: JobId) -> Load {
        let job = &self.jobs[&id];
        match job.request.holds {
            Holds::Lends if self.has_children(id) => job.load.kept_by_lender(),
            _ => job.load,
        }
    }

    /// The pieces of a node, charged with what its jobs hold.
    fn pieces(&self, name: &NodeName) -> Pieces {
        let count = self.nodes[name].gpus;
        let mut pieces = Pieces::new(count.map(|count| (GPUS, count)).into_iter());
        for job in self.on_node(name) {
            pieces.charge(&self.held(job), &self.jobs[&job].indices);
        }
        pieces
    }

    /// The pipes and links, with those that have them open.
    fn joints(&self) -> Vec<Vec<(JobId, End)>> {
        let mut pipes = BTreeMap::<_, Vec<_>>::new();
        let mut joints = Vec::new();
        for (&id, job) in &self.jobs {
            for (pipe, end) in streams(&job.request) {
                pipes.entry(pipe).or_default().push((id, end));
            }
            let links = job.links.iter().filter(|&&other| id < other);
            joints.extend(links.map(|&other| vec![(id, End::Write), (other, End::Read)]));
        }
        joints.extend(pipes.into_values());
        joints
    }

    fn runs(&self, job: JobId) -> bool {
        self.jobs[&job].node.is_some()
    }

    /// Whether a job of `served` has nobody of them at the other end of a pipe, where this one is.
    fn is_needed_by(&self, served: &BTreeSet<JobId>, job: JobId) -> bool {
        self.joints().iter().any(|joint| {
            let mut ends = joint.iter().filter(|(id, _)| *id == job).map(|(_, end)| *end);
            ends.any(|end| {
                let serves = |at| joint.iter().any(|(id, end)| *end == at && served.contains(id));
                serves(end.other()) && !serves(end)
            })
        })
    }

    /// Whether a job of `served` is at the other end of a pipe.
    fn is_at_other_end(&self, served: &BTreeSet<JobId>, job: JobId) -> bool {
        self.joints().iter().any(|joint| {
            let mut ends = joint.iter().filter(|(id, _)| *id == job);
            ends.any(|(_, end)| {
                joint.iter().any(|(id, other)| *other == end.other() && served.contains(id))
            })
        })
    }

    /// Whether a job is the first to run at its end of a pipe, for one that runs at the other end
    /// or is of `joiners`.
    fn is_first_at_its_end(&self, job: JobId, joiners: &BTreeSet<JobId>) -> bool {
        self.joints().iter().any(|joint| {
            let mut ends = joint.iter().filter(|(id, _)| *id == job).map(|(_, end)| *end);
            ends.any(|end| {
                let mut here = joint.iter().filter(|(_, at)| *at == end);
                let mut there = joint.iter().filter(|(_, at)| *at == end.other());
                !here.any(|(id, _)| self.runs(*id))
                    && there.any(|(id, _)| self.runs(*id) || joiners.contains(id))
            })
        })
    }

    /// The jobs not known to run that the dispatcher treats as needed at the other end of a pipe.
    /// Which of several it takes is for it to choose; that they are needed is checked.
    fn joiners(&self) -> BTreeSet<JobId> {
        let is_joiner = |job: &JobId| {
            let job = self.dispatcher.jobs.get(*job);
            job.is_some_and(|job| job.place.urgency == Urgency::JoinsRunning)
        };
        self.queued().into_iter().filter(is_joiner).collect()
    }

    /// The queued jobs that start together with this one.
    fn unit(&self, job: JobId, joiners: &BTreeSet<JobId>) -> BTreeSet<JobId> {
        let mut joints = self.joints();
        joints.retain(|joint| {
            let has = |end| joint.iter().any(|(_, other)| *other == end);
            let is_served = |&(id, _): &(JobId, End)| self.runs(id) || joiners.contains(&id);
            has(End::Read) && has(End::Write) && !joint.iter().any(is_served)
        });
        let mut unit = BTreeSet::from([job]);
        loop {
            let before = unit.len();
            for joint in &joints {
                if joint.iter().any(|(id, _)| unit.contains(id)) {
                    unit.extend(joint.iter().map(|(id, _)| id));
                }
            }
            if unit.len() == before {
                return unit;
            }
        }
    }

    fn on_node<'a>(&'a self, node: &'a NodeName) -> impl Iterator<Item = JobId> + 'a {
        self.jobs.iter().filter(|(_, job)| job.node.as_ref() == Some(node)).map(|(&id, _)| id)
    }

    fn used(&self, node: &NodeName) -> Load {
        self.on_node(node).map(|job| self.held(job)).fold(Load::NONE, Load::plus)
    }

    fn capacity(&self, node: &NodeName) -> Load {
        self.nodes[node].capacity.unwrap_or_default()
    }

    /// Whether a job on that node holds something and can end without any queued job.
    fn has_independent(&self, node: &NodeName) -> bool {
        self.on_node(node).any(|job| {
            self.held(job) != self.jobs[&job].load.kept_by_lender() && self.is_independent(job)
        })
    }

    fn is_independent(&self, job: JobId) -> bool {
        let running = self.gang(job).into_iter().filter(|id| self.jobs[id].node.is_some());
        !running.collect::<Vec<_>>().into_iter().any(|member| self.has_children(member))
    }

    fn open_nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().filter(|(_, node)| node.open && !node.suspended).map(|(name, _)| name)
    }

    fn may_ever_fit(&self, request: &Request) -> bool {
        let fits = |node: &MirrorNode| {
            let asked = loads(&request.resources);
            let asked = if request.holds == Holds::Supervisor { Load::NONE } else { asked };
            node.capacity.is_none_or(|capacity| asked.amounts_fit_in(&capacity))
        };
        if request.candidates != Candidates::Any {
            let mut known = self.nodes.iter().filter(|(name, _)| request.candidates.include(name));
            return known.any(|(_, node)| fits(node));
        }
        let mut known = self.nodes.values().filter(|node| node.capacity.is_some()).peekable();
        known.peek().is_none() || known.any(fits)
    }

    fn apply(&mut self, event: Event, lost: &mut Vec<JobId>) {
        match event {
            Event::NodeJoined { node, mut capacity, max_jobs, max_supervisors, indexed } => {
                let gpus = indexed.first_key_value().map(|(pool, count)| {
                    capacity.others.insert(pool.clone(), Amount::whole((*count).into()));
                    *count
                });
                let capacity = Some(loads(&capacity).of_node(max_jobs, max_supervisors));
                let node_now = MirrorNode { capacity, gpus, open: true, suspended: false };
                self.nodes.insert(node, node_now);
            }
            Event::NodeDraining { node } => self.close(&node),
            Event::NodeSuspended { node } => self.suspend(&node, true),
            Event::NodeResumed { node } => self.suspend(&node, false),
            Event::NodeLost { node } => {
                self.suspend(&node, false);
                self.close(&node);
                self.lose_jobs(&node, lost);
            }
            Event::NodeRemoved { node } => {
                self.nodes.remove(&node);
                self.lose_jobs(&node, lost);
            }
            Event::Submitted { job, request } => self.add(job, request, None),
            Event::Recovered { job, request, node, .. } => {
                self.nodes.entry(node.clone()).or_insert(MirrorNode {
                    capacity: None,
                    gpus: None,
                    open: false,
                    suspended: false,
                });
                self.add(job, request, Some(node));
                let mirrored = self.jobs.get_mut(&job).expect("it was just added");
                mirrored.indices = self.dispatcher.jobs[job].indices.clone();
            }
            Event::Candidates { job, candidates } => {
                if let Some(job) = self.jobs.get_mut(&job).filter(|job| job.node.is_none()) {
                    job.request.candidates = candidates;
                }
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
            Event::Promised { job, after } => {
                assert!(self.can_follow(job, after), "{job} cannot have the place of {after}");
                self.job_mut(job).is_promised = true;
            }
            Event::Withdrawn { job } => self.job_mut(job).is_promised = false,
            Event::Followed { ended, started } => {
                let before = self.jobs[&ended].node.clone();
                assert!(before.is_some(), "{ended} did not run");
                self.job_mut(started).indices = self.jobs[&ended].indices.clone();
                self.remove(ended);
                let follower = self.job_mut(started);
                (follower.node, follower.is_promised) = (before, false);
            }
        }
    }

    fn job_mut(&mut self, job: JobId) -> &mut MirrorJob {
        self.jobs.get_mut(&job).expect("only known jobs are picked")
    }

    fn add(&mut self, job: JobId, request: Request, node: Option<NodeName>) {
        let has_parent = request.parent.is_some_and(|parent| self.jobs.contains_key(&parent));
        let amounts = loads(&request.resources);
        let load = match request.holds {
            Holds::Worker => amounts.of_one_job(),
            Holds::Lends if has_parent => amounts.of_one_job(),
            Holds::Lends => amounts.of_one_job().and_supervisor(),
            Holds::Supervisor if has_parent => Load::NONE,
            Holds::Supervisor => Load::NONE.and_supervisor(),
        };
        let (is_promised, indices, links) = Default::default();
        self.jobs.entry(job).or_insert(MirrorJob {
            request,
            load,
            node,
            is_promised,
            indices,
            links,
        });
    }

    fn remove(&mut self, job: JobId) {
        self.jobs.remove(&job);
        for other in self.jobs.values_mut() {
            other.links.remove(&job);
        }
    }

    fn suspend(&mut self, node: &NodeName, is_suspended: bool) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.suspended = is_suspended;
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
    fn check_starts(&mut self, starts: Vec<(JobId, NodeName)>) {
        let joiners = self.joiners();
        self.check_joiners(&starts, &joiners);
        let mut starts = starts.into_iter().peekable();
        while let Some((job, node)) = starts.next() {
            assert!(self.jobs[&job].request.candidates.include(&node));
            assert!(!self.nodes[&node].suspended, "{job} started on {node}, which is suspended");
            if joiners.contains(&job) {
                let is_first = self.is_first_at_its_end(job, &joiners);
                assert!(is_first, "{job} goes into debt where somebody runs already");
                self.jobs.get_mut(&job).expect("it was just looked at").node = Some(node);
                continue;
            }
            let members = self.unit(job, &joiners);
            let mut unit = vec![(job, node)];
            while unit.len() < members.len() {
                let (member, node) = starts.next().expect("a gang starts as a whole");
                assert!(members.contains(&member), "{member} started amid {members:?}");
                assert!(self.jobs[&member].request.candidates.include(&node));
                unit.push((member, node));
            }
            self.check_order(&unit);
            self.check_room(&unit);
            for (member, node) in unit {
                self.jobs.get_mut(&member).expect("it is of the gang").node = Some(node);
            }
        }
    }

    /// Those that join others are needed by jobs that run, or by others that join these.
    fn check_joiners(&self, starts: &[(JobId, NodeName)], joiners: &BTreeSet<JobId>) {
        let started = starts.iter().map(|&(job, _)| job).collect::<BTreeSet<_>>();
        let mut served = &self.running() | &(&started - joiners);
        let mut waiting = joiners.clone();
        while let Some(&job) = waiting.iter().find(|&&job| self.is_at_other_end(&served, job)) {
            waiting.remove(&job);
            if started.contains(&job) {
                served.insert(job);
            }
        }
        assert_eq!(waiting, BTreeSet::new(), "nobody that runs needs these");
    }

    /// Each node has room for what starts there, or a reason to go into debt.
    fn check_room(&self, unit: &[(JobId, NodeName)]) {
        let nodes = unit.iter().map(|(_, node)| node).collect::<BTreeSet<_>>();
        let mut shares = Vec::new();
        for node in nodes {
            assert!(self.open_nodes().any(|open| open == node), "{node} takes no jobs");
            let here = unit.iter().filter(|(_, on)| on == node);
            let asked = here.map(|&(job, _)| self.jobs[&job].load).reduce(Load::joined_with);
            shares.push((node, asked.expect("somebody starts there")));
        }
        let fits = |&(node, asked): &(&NodeName, Load)| {
            let here = unit.iter().filter(|(_, on)| on == node);
            asked.fits_in(&self.capacity(node).minus(self.used(node)))
                && self.pieces(node).fit(here.map(|(job, _)| self.jobs[job].load))
        };
        if shares.iter().all(fits) {
            return;
        }
        for (node, asked) in shares {
            let capped = asked.min(self.capacity(node));
            let free = self.capacity(node).minus(self.used(node));
            assert!(asked.supervisors <= free.supervisors, "{node} has too many pipelines");
            let here = unit.iter().filter(|(_, on)| on == node);
            let idle_enough = capped.fits_in(&free)
                && (self.pieces(node).are_idle_for(&asked)
                    || self.pieces(node).fit(here.map(|(job, _)| self.jobs[job].load)));
            assert!(
                idle_enough || !self.has_independent(node),
                "{unit:?} over-commits {node} without a reason"
            );
            let loads = unit.iter().map(|(job, _)| self.jobs[job].load);
            let whole = loads.reduce(Load::joined_with).unwrap_or_default();
            let has_pins =
                unit.iter().any(|(job, _)| self.jobs[job].request.candidates != Candidates::Any);
            let larger = self.open_nodes().find(|node| {
                let free = self.capacity(node).minus(self.used(node));
                whole.fits_in(&self.capacity(node)) && whole.supervisors <= free.supervisors
            });
            assert!(
                // Room is kept where there is a place for a supervisor; later there may be another.
                capped == asked || has_pins || asked.supervisors > 0 || larger.is_none(),
                "{unit:?} takes all of {node}, and {larger:?} is large enough"
            );
        }
    }

    /// Nobody who asks for the same and waited longer was overtaken.
    fn check_order(&self, unit: &[(JobId, NodeName)]) {
        let [(job, _)] = unit else { return };
        let started = &self.jobs[job];
        for other in self.queued() {
            let waiting = &self.jobs[&other];
            let ask = |job: &MirrorJob| {
                (job.load, job.request.candidates.clone(), job.request.time_limit)
            };
            if other == *job || ask(started) != ask(waiting) || self.gang(other).len() > 1 {
                continue;
            }
            assert!(
                self.turn(*job) < self.turn(other),
                "{job} overtook {other}, which asks for the same"
            );
        }
    }

    /// A job's place, as long as it waits for room.
    fn turn(&self, job: JobId) -> Place {
        Place { urgency: Urgency::Waits, ..self.dispatcher.jobs[job].place }
    }

    /// The dispatcher counts as we do, and nobody waits who could run.
    fn check_state(&self) {
        for (_, node) in self.dispatcher.nodes.all() {
            let running = self.on_node(&node.name).collect::<BTreeSet<_>>();
            let known = node.running.iter().copied().collect::<BTreeSet<_>>();
            assert_eq!(known, running, "jobs on {}", node.name);
            assert_eq!(node.used, self.used(&node.name), "held on {}", node.name);
            assert_eq!(node.independent > 0, self.has_independent(&node.name), "{}", node.name);
            if self.nodes.contains_key(&node.name) {
                assert_eq!(node.pieces, self.pieces(&node.name), "pieces of {}", node.name);
            }
        }
        assert!(self.dispatcher.freed.is_empty() && self.dispatcher.fresh.is_empty());
        assert_eq!(self.dispatcher.jobs.len(), self.jobs.len());
        assert!(self.jobs.keys().all(|&job| self.dispatcher.jobs.contains(job)));
        if self.jobs.is_empty() {
            assert!(self.dispatcher.pipes.is_empty());
            assert!(self.dispatcher.strays.is_empty() && self.dispatcher.gangs.is_empty());
            assert!(self.dispatcher.asks.is_empty() && self.dispatcher.nodes.sets.is_empty());
            assert_eq!(self.dispatcher.queue.all().len(), 0);
            assert_eq!(self.dispatcher.dependents, 0);
            assert!(self.dispatcher.reservation.is_none());
        }
        for job in self.promised() {
            let state = self.dispatcher.jobs[job].state;
            assert!(matches!(state, State::Promised { .. }), "{job} is {state:?}");
        }
        let joiners = self.joiners();
        for job in self.queued() {
            self.check_unit(job, &joiners);
            self.check_waits_for_a_reason(job);
        }
    }

    /// Those that wait do so together with whom they are to start, or are needed alone.
    fn check_unit(&self, job: JobId, joiners: &BTreeSet<JobId>) {
        let State::Queued { leader, .. } = self.dispatcher.jobs[job].state else {
            panic!("{job} waits outside of the queue")
        };
        let members = self.dispatcher.members(leader);
        if joiners.contains(&job) {
            assert!(self.is_needed_by(&self.running(), job), "{job} is not needed any more");
            assert_eq!(members, [job]);
        } else {
            let unit = self.unit(job, joiners);
            assert_eq!(members.into_iter().collect::<BTreeSet<_>>(), unit, "unit of {job}");
        }
    }

    fn check_waits_for_a_reason(&self, job: JobId) {
        let MirrorJob { request, load, .. } = &self.jobs[&job];
        let is_usable = |node: &&NodeName| {
            request.candidates.include(node)
                && load.fits_in(&self.capacity(node).minus(self.used(node)))
                && self.pieces(node).fit(std::iter::once(*load))
        };
        if self.gang(job).len() > 1 {
            let has_node = self
                .open_nodes()
                .any(|node| request.candidates.include(node) && load.fits_in(&self.capacity(node)));
            assert!(
                !(self.is_needed_by(&self.running(), job) && has_node),
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

/// The slot of the only pool in these tests that nodes declare.
const GPUS: usize = 2;

fn loads(resources: &Resources) -> Load {
    let mut pools = Pools::default();
    pools.allot(resources);
    pools.known_load(resources)
}

/// The ends of the pipes of which the job has one end only.
fn streams(request: &Request) -> BTreeSet<(PipeId, End)> {
    let ends = request.pipes.iter().copied().collect::<BTreeSet<_>>();
    let has_both = |pipe| [End::Read, End::Write].iter().all(|&end| ends.contains(&(pipe, end)));
    ends.iter().copied().filter(|&(pipe, _)| !has_both(pipe)).collect()
}
