//! Streams arrive whole whatever becomes of the connections. The sessions have a tiny window, so
//! that it is full most of the time.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{Arrived, Control, Decoder, Effect, Next, Outbox, Session, Signal, Violation};

const WINDOW: usize = 48;

/// The client sends 0 and 63 and gets 1 and 2.
const UP: [i32; 2] = [0, 63];
const DOWN: [i32; 2] = [1, 2];

/// What the byte of a stream is at an offset.
fn byte(number: i32, offset: u64) -> u8 {
    (offset.wrapping_mul(31) ^ (offset >> 8) ^ number as u64) as u8
}

/// One side, with what it has written to its descriptors.
struct Side {
    session: Session,
    connection: Option<(super::ConnectionId, Decoder)>,
    outbox: Outbox,
    /// In flight to the other side.
    wire: VecDeque<u8>,
    read: Vec<(i32, u64)>,
    written: Vec<(i32, u64)>,
    signals: Vec<Signal>,
    is_closed: Vec<i32>,
    ended: Vec<i32>,
}

impl Side {
    fn new(sends: [i32; 2], receives: [i32; 2]) -> Self {
        Self {
            session: Session::with_window(sends, receives, WINDOW),
            connection: None,
            outbox: Outbox::default(),
            wire: VecDeque::new(),
            read: sends.map(|number| (number, 0)).to_vec(),
            written: receives.map(|number| (number, 0)).to_vec(),
            signals: Vec::new(),
            is_closed: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn connect(&mut self) {
        self.connection = Some((self.session.connect(), Decoder::default()));
        self.outbox = Outbox::default();
        self.wire.clear();
    }

    /// Reads up to `count` bytes from a descriptor.
    fn read(&mut self, index: usize, count: usize) {
        let (number, offset) = &mut self.read[index];
        let count = count.min(self.session.room(*number));
        let mut bytes: Vec<u8> = (*offset..).map(|at| byte(*number, at)).take(count).collect();
        *offset += count as u64;
        self.session.push(*number, &mut bytes, count);
    }

    /// Writes up to `count` bytes to a descriptor.
    fn write(&mut self, index: usize, count: usize) {
        let (number, offset) = &mut self.written[index];
        if self.is_closed.contains(number) {
            return;
        }
        match self.session.next(*number) {
            Next::Write(chunk) => {
                assert!(chunk.len() <= WINDOW);
                let count = count.clamp(1, chunk.len());
                for written in &chunk[..count] {
                    assert_eq!(*written, byte(*number, *offset), "of {number} at {offset}");
                    *offset += 1;
                }
                self.session.passed_on(*number, count);
            }
            Next::End => {
                self.ended.push(*number);
                self.close(index, 0);
            }
            Next::Nothing => {}
        }
    }

    fn close(&mut self, index: usize, left: u64) {
        let (number, _) = self.written[index];
        self.is_closed.push(number);
        self.session.close(number, left);
    }

    /// Puts up to `count` bytes onto the wire.
    fn send(&mut self, count: usize) {
        let Some((connection, _)) = &self.connection else { return };
        if self.outbox.is_empty() {
            let has_news = self.session.has_news();
            self.session.fill(*connection, &mut self.outbox);
            assert_eq!(has_news, !self.outbox.is_empty());
        }
        let bytes = self.outbox.to_vec();
        let count = count.min(bytes.len());
        self.wire.extend(&bytes[..count]);
        self.outbox.advance(count);
    }

    /// Takes up to `count` bytes from the other side's wire.
    fn receive(&mut self, wire: &mut VecDeque<u8>, count: usize) {
        let Some((connection, decoder)) = &mut self.connection else { return };
        let space = decoder.space();
        let count = count.min(wire.len()).min(space.len());
        for (place, byte) in space.iter_mut().zip(wire.drain(..count)) {
            *place = byte;
        }
        decoder.advance(count);
        while let Some(arrived) = decoder.next().unwrap() {
            if let Effect::Signal(signal) = self.session.receive(*connection, arrived).unwrap() {
                self.signals.push(signal);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Connect,
    Cut,
    Read { agent: bool, index: usize, count: usize },
    Write { agent: bool, index: usize, count: usize },
    End { agent: bool, index: usize },
    Close { agent: bool, index: usize },
    Signal(i32),
    Send { agent: bool, count: usize },
    Receive { agent: bool, count: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Connect),
        1 => Just(Step::Cut),
        8 => (any::<bool>(), 0..2usize, 1..60usize)
            .prop_map(|(agent, index, count)| Step::Read { agent, index, count }),
        8 => (any::<bool>(), 0..2usize, 1..60usize)
            .prop_map(|(agent, index, count)| Step::Write { agent, index, count }),
        1 => (any::<bool>(), 0..2usize).prop_map(|(agent, index)| Step::End { agent, index }),
        1 => (any::<bool>(), 0..2usize).prop_map(|(agent, index)| Step::Close { agent, index }),
        1 => (1..4i32).prop_map(Step::Signal),
        12 => (any::<bool>(), 1..120usize).prop_map(|(agent, count)| Step::Send { agent, count }),
        12 => (any::<bool>(), 1..120usize).prop_map(|(agent, count)| Step::Receive { agent, count }),
    ];
    proptest::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn every_stream_arrives_once_and_in_order(steps in steps()) {
        let mut sides = [Side::new(UP, DOWN), Side::new(DOWN, UP)];
        let mut has_ended = [[false; 2]; 2];
        let mut sent_signals = Vec::new();
        for step in steps {
            match step {
                Step::Connect => sides.iter_mut().for_each(Side::connect),
                Step::Cut => for side in &mut sides {
                    side.connection = None;
                    side.wire.clear();
                },
                Step::Read { agent, index, count } => {
                    if !has_ended[usize::from(agent)][index] {
                        sides[usize::from(agent)].read(index, count);
                    }
                }
                Step::End { agent, index } => {
                    has_ended[usize::from(agent)][index] = true;
                    let side = &mut sides[usize::from(agent)];
                    side.session.end(side.read[index].0);
                }
                Step::Write { agent, index, count } => {
                    sides[usize::from(agent)].write(index, count);
                }
                Step::Close { agent, index } => {
                    let side = &mut sides[usize::from(agent)];
                    if !side.is_closed.contains(&side.written[index].0) {
                        side.close(index, 0);
                    }
                }
                Step::Signal(signal) => {
                    let signal = Signal { signal, to_group: signal == 2 };
                    sent_signals.push(signal);
                    sides[0].session.signal(signal);
                }
                Step::Send { agent, count } => sides[usize::from(agent)].send(count),
                Step::Receive { agent, count } => {
                    let [client, agents] = &mut sides;
                    let (to, from) = if agent { (agents, client) } else { (client, agents) };
                    to.receive(&mut from.wire, count);
                }
            }
        }
        // From here on nothing breaks.
        sides.iter_mut().for_each(Side::connect);
        for (side, ended) in sides.iter_mut().zip(has_ended) {
            for (index, has_ended) in ended.into_iter().enumerate() {
                if !has_ended {
                    side.session.end(side.read[index].0);
                }
            }
        }
        for _ in 0..60 {
            let [client, agent] = &mut sides;
            client.send(usize::MAX);
            agent.send(usize::MAX);
            agent.receive(&mut client.wire, usize::MAX);
            client.receive(&mut agent.wire, usize::MAX);
            for side in &mut sides {
                (0..2).for_each(|index| side.write(index, 7));
                if side.session.has_written_all() {
                    side.session.finish();
                }
            }
        }
        let [client, agent] = &sides;
        for (from, to) in [(client, agent), (agent, client)] {
            prop_assert!(from.session.is_delivered() && to.session.has_told_all());
            for ((number, read), (_, written)) in from.read.iter().zip(&to.written) {
                prop_assert_eq!(from.session.taken(*number), Some(*written));
                if to.ended.contains(number) {
                    prop_assert_eq!(read, written);
                } else {
                    prop_assert!(written <= read);
                }
            }
        }
        prop_assert!(client.session.are_signals_delivered());
        // One that waits already counts once; their order stays.
        let mut sent = sent_signals.iter();
        prop_assert!(agent.signals.iter().all(|signal| sent.any(|other| other == signal)));
        prop_assert_eq!(agent.signals.is_empty(), sent_signals.is_empty());
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, cut in 1..40usize) {
        let mut decoder = Decoder::default();
        let mut session = Session::with_window(UP, DOWN, WINDOW);
        let connection = session.connect();
        for piece in bytes.chunks(cut) {
            decoder.space()[..piece.len()].copy_from_slice(piece);
            decoder.advance(piece.len());
            loop {
                match decoder.next() {
                    Ok(Some(arrived)) => drop(session.receive(connection, arrived)),
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
        }
    }

    #[test]
    fn frames_are_read_as_they_were_written(
        number: i32, offset: u64, signal in 1..65i32, to_group: bool,
    ) {
        for control in [
            Control::Hello { version: 7 },
            Control::Resume { number, offset },
            Control::Acknowledge { number, offset },
            Control::End { number, offset },
            Control::Closed { number, offset },
            Control::Signal { signal, sequence: offset, to_group },
            Control::SignalsSeen { sequence: offset },
            Control::Gone,
            Control::Done,
        ] {
            let mut decoder = Decoder::default();
            decoder.space()[..17].copy_from_slice(&control.encode());
            decoder.advance(17);
            let read = decoder.next().unwrap();
            prop_assert!(matches!(read, Some(Arrived::Control(read)) if read == control));
        }
    }
}

#[test]
fn a_side_that_breaks_the_rules_is_told() {
    let mut session = Session::with_window(UP, DOWN, WINDOW);
    let connection = session.connect();
    let mut data = |number, offset, length| {
        let mut buffer = vec![0; 64];
        session
            .receive(connection, Arrived::Data { number, offset, buffer: &mut buffer, length })
            .unwrap_err()
    };
    assert_eq!(data(1, 1, 1), Violation::Offset, "a gap");
    assert_eq!(data(1, 0, WINDOW + 1), Violation::Window);
    assert_eq!(data(0, 0, 1), Violation::Stream(0));
    let mut control = |control| session.receive(connection, Arrived::Control(control)).unwrap_err();
    assert_eq!(control(Control::Acknowledge { number: 0, offset: 1 }), Violation::Offset);
    assert_eq!(control(Control::End { number: 1, offset: 1 }), Violation::Offset);
    assert_eq!(control(Control::Hello { version: 99 }), Violation::Version(99));
}

#[test]
fn an_older_connection_says_and_hears_nothing() {
    let mut session = Session::with_window(UP, DOWN, WINDOW);
    let (older, newer) = (session.connect(), session.connect());
    let mut outbox = Outbox::default();
    session.fill(older, &mut outbox);
    assert!(outbox.is_empty());
    let gone = session.receive(older, Arrived::Control(Control::Gone)).unwrap();
    assert_eq!(gone, Effect::None);
    session.fill(newer, &mut outbox);
    assert!(!outbox.is_empty());
}

#[test]
fn the_same_signal_waits_once_and_comes_as_often_as_it_was_sent_apart() {
    let mut sides = [Side::new(UP, DOWN), Side::new(DOWN, UP)];
    let signal = Signal { signal: 10, to_group: false };
    let exchange = |[client, agent]: &mut [Side; 2]| {
        client.send(usize::MAX);
        agent.receive(&mut client.wire, usize::MAX);
        agent.send(usize::MAX);
        client.receive(&mut agent.wire, usize::MAX);
    };
    sides[0].session.signal(signal);
    sides[0].session.signal(signal);
    sides.iter_mut().for_each(Side::connect);
    exchange(&mut sides);
    assert_eq!(sides[1].signals, [signal]);
    sides[0].session.signal(signal);
    exchange(&mut sides);
    assert_eq!(sides[1].signals, [signal; 2]);
}

#[test]
fn what_is_small_is_gathered() {
    let mut session = Session::with_window([0], [], WINDOW);
    for _ in 0..WINDOW {
        session.push(0, &mut vec![1], 1);
    }
    assert_eq!(session.room(0), 0);
    let connection = session.connect();
    let mut outbox = Outbox::default();
    session.fill(connection, &mut outbox);
    assert_eq!(outbox.to_vec().len(), 17 + 17 + WINDOW);
}

#[test]
fn bytes_are_acknowledged_by_quarters_of_the_window() {
    let mut session = Session::with_window([], [1], WINDOW);
    let connection = session.connect();
    session.fill(connection, &mut Outbox::default());
    let mut outbox = Outbox::default();
    for offset in 0..WINDOW as u64 {
        let buffer = &mut vec![0];
        let data = Arrived::Data { number: 1, offset, buffer, length: 1 };
        session.receive(connection, data).unwrap();
        session.passed_on(1, 1);
        session.fill(connection, &mut outbox);
    }
    assert_eq!(outbox.to_vec().len(), 4 * 17);
}
