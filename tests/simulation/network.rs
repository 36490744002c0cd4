//! Streams between agents and the controller: frames take time, get lost, overtake one another and come twice;
//! streams are cut, and either side notices in its own time.

use crate::happening::{Down, Happening, Up};
use crate::rng::Rng;
use crate::world::World;
use curfew_controller_core::Frame;

/// How often either side of a stream says something; both notice a dead stream within two of these.
pub(crate) const HEARTBEAT_MS: u64 = 15_000;

/// One stream, from the agent's dialling until both sides know that it is dead.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) host: usize,
    /// The agent's process that dialled; 0 for an impostor that holds the same identity.
    pub(crate) agent: u64,
    /// The controller's process that took it.
    pub(crate) controller: u64,
    /// The agent's side has not noticed its end.
    pub(crate) agent_open: bool,
    /// The controller's side has not noticed its end.
    pub(crate) controller_open: bool,
    /// Nothing comes through any more.
    pub(crate) cut: bool,
    /// Frames that must not overtake one another: the welcome, and inventories.
    down_after: u64,
    up_after: u64,
}

/// Every stream there ever was, and the state of each host's line.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) streams: Vec<Stream>,
    pub(crate) lines: Vec<Line>,
    /// Frames that were on their way before, by host, to come again one day.
    pub(crate) old_down: Vec<(usize, Down)>,
    pub(crate) old_up: Vec<(u64, Up)>,
}

/// A host's line to the controller.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub(crate) parted_until: u64,
    pub(crate) noisy_until: u64,
    pub(crate) loss: u64,
    pub(crate) disorder: u64,
    pub(crate) repeats: u64,
}

/// How old frames are kept for replays.
const OLD_FRAMES_MAX: usize = 40;

impl Network {
    /// A new stream; its number is the session's too.
    pub(crate) fn open(&mut self, host: usize, agent: u64, controller: u64) -> u64 {
        self.streams.push(Stream {
            host,
            agent,
            controller,
            agent_open: true,
            controller_open: true,
            cut: false,
            down_after: 0,
            up_after: 0,
        });
        self.streams.len() as u64
    }

    pub(crate) fn stream(&self, number: u64) -> Option<&Stream> {
        self.streams.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    pub(crate) fn stream_mut(&mut self, number: u64) -> Option<&mut Stream> {
        self.streams.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}

impl World {
    pub(crate) fn send_up(&mut self, stream: u64, frame: Up) {
        if let Up::Report(_) = &frame
            && self.network.old_up.len() < OLD_FRAMES_MAX
        {
            self.network.old_up.push((stream, frame.clone()));
        }
        // Drains are told whole, so that an older report must not come after a newer one, and none is lost.
        let in_order = !matches!(&frame, Up::Report(report) if report.drains.is_none());
        let mut may_be_lost = true;
        if let (Up::Report(report), Some(host)) = (&frame, self.network.stream(stream).map(|open| open.host))
        {
            let known = &mut self.truth.hosts[host];
            may_be_lost = std::mem::replace(&mut known.reported, report.safeguards) == report.safeguards;
        }
        for at in self.passages(stream, in_order, may_be_lost, true) {
            self.agenda.put(at, Happening::ReachedController { stream, frame: frame.clone() });
        }
    }

    pub(crate) fn send_down(&mut self, stream: u64, frame: Down) {
        if let (Down::Frame(_), Some(host)) = (&frame, self.network.stream(stream).map(|open| open.host))
            && self.network.old_down.len() < OLD_FRAMES_MAX
        {
            self.network.old_down.push((host, frame.clone()));
        }
        // A wish comes once, as on a stream that keeps order.
        let in_order = !matches!(frame, Down::Frame(_)) || matches!(frame, Down::Frame(Frame::Drain(_)));
        // A live stream loses nothing in life: who cannot queue a frame cuts the stream, and attaching says it again.
        // Here frames are lost all the same, but for those that are not said again after a while.
        let may_be_lost = !matches!(frame, Down::Frame(Frame::Safeguards(_)));
        for at in self.passages(stream, in_order, may_be_lost, false) {
            self.agenda.put(at, Happening::ReachedAgent { stream, frame: frame.clone() });
        }
    }

    /// The moments at which a frame that is sent now arrives: none if it is lost, several if it is repeated.
    fn passages(&mut self, number: u64, in_order: bool, may_be_lost: bool, up: bool) -> Vec<u64> {
        let t = self.t;
        let Some(stream) = self.network.stream(number) else { return Vec::new() };
        if stream.cut {
            return Vec::new();
        }
        let line = self.network.lines[stream.host];
        let rng = &mut self.chances.network;
        let noisy = t < line.noisy_until;
        let mut at = t + rng.between(1, 20);
        let mut copies = 1;
        if noisy && !in_order {
            if rng.chance(line.loss) && may_be_lost {
                copies = 0;
            } else if rng.chance(line.repeats) {
                copies = 2;
            }
            if rng.chance(line.disorder) {
                at += rng.between(0, 3_000);
            }
        }
        // What is under way when a line parts comes through once it is whole again, if the stream lives that long.
        at = at.max(if t < line.parted_until { line.parted_until + 1 } else { 0 });
        let Some(stream) = self.network.stream_mut(number) else { return Vec::new() };
        let after = if up { &mut stream.up_after } else { &mut stream.down_after };
        // A frame never overtakes what must stay in order; frames that may overtake one another do so after it.
        at = at.max(*after + 1);
        if in_order || !noisy {
            *after = at;
        }
        (0..copies).map(|copy| at + copy * 700).collect()
    }

    /// Nothing comes through a stream any more; each side notices within two heartbeats.
    pub(crate) fn cut(&mut self, number: u64) {
        let t = self.t;
        let Some(stream) = self.network.stream_mut(number) else { return };
        if std::mem::replace(&mut stream.cut, true) {
            return;
        }
        self.log(|| format!("stream {number} is cut"));
        let (soon, late) = (self.notice(), self.notice());
        self.agenda.put(t + soon, Happening::AgentNotices { stream: number });
        self.agenda.put(t + late, Happening::ControllerNotices { stream: number });
    }

    fn notice(&mut self) -> u64 {
        let rng: &mut Rng = &mut self.chances.network;
        if rng.chance(60) { rng.between(1, 200) } else { rng.between(1, 2 * HEARTBEAT_MS) }
    }

    /// A host's line parts. Streams that stay silent for two heartbeats are given up by both sides.
    pub(crate) fn part(&mut self, host: usize, ms: u64) {
        let t = self.t;
        let line = &mut self.network.lines[host];
        line.parted_until = line.parted_until.max(t + ms);
        self.agenda.put(t + ms, Happening::PartitionHeals { host });
        if ms >= 2 * HEARTBEAT_MS {
            let open: Vec<u64> = self.live_streams(host);
            for number in open {
                if let Some(stream) = self.network.stream_mut(number) {
                    stream.cut = true;
                }
                let (one, other) =
                    (self.chances.network.between(0, 500), self.chances.network.between(0, 500));
                self.agenda.put(t + 2 * HEARTBEAT_MS + one, Happening::AgentNotices { stream: number });
                self.agenda
                    .put(t + 2 * HEARTBEAT_MS + other, Happening::ControllerNotices { stream: number });
            }
        }
    }

    /// Streams of a host that nobody has given up.
    pub(crate) fn live_streams(&self, host: usize) -> Vec<u64> {
        (1..)
            .zip(&self.network.streams)
            .filter(|(_, stream)| stream.host == host && !stream.cut)
            .map(|(number, _)| number)
            .collect()
    }
}
