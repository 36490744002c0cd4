//! The controller's shell: takes what has come in, appends, publishes, sends; in that order, and dies at bad moments.

use crate::books::Snapshot;
use crate::clock::Clocks;
use crate::disk::Disk;
use crate::happening::{Down, Happening, Up};
use crate::network::HEARTBEAT_MS;
use crate::plan::CrashPoint;
use crate::world::World;
use curfew_controller_core::record::Record;
use curfew_controller_core::{Action, AttachError, Core, Event, Frame, Settings};
use curfew_types::{HostName, OperationId};
use std::collections::{BTreeSet, VecDeque};

/// Pause between two tries to reach a store that is away.
const STORE_RETRY_MS: u64 = 1_000;

/// The controller: its machine, its process if it runs, and its disk.
pub(crate) struct Controller {
    pub(crate) core: Option<Core>,
    /// How many processes there have been: the number of the latest.
    pub(crate) processes: u64,
    pub(crate) clocks: Clocks,
    pub(crate) disk: Disk,
    pub(crate) backup: Option<Disk>,
    pub(crate) store_is_away: bool,
    pub(crate) doomed: Option<(CrashPoint, u64)>,
    pub(crate) stopping: bool,
    inbox: VecDeque<Input>,
    /// The turn that is being appended.
    appending: Option<Turn>,
    /// Turns that wait for the store.
    backlog: VecDeque<Turn>,
    wakes_at: u64,
}

/// What the driver takes in.
pub(crate) enum Input {
    Attach {
        stream: u64,
        hello: Box<curfew_types::agent::Hello>,
    },
    Event(Event),
    /// An operator's request, by its place in the plan.
    Asked(usize),
    /// Operators look after what waits for them.
    Tended,
}

/// What one call of the core wrote.
pub(crate) struct Written {
    pub(crate) at: u64,
    pub(crate) records: Vec<Record>,
}

/// What a turn came to, to be carried out once its records are stored.
#[derive(Default)]
pub(crate) struct Turn {
    written: Vec<Written>,
    touched: BTreeSet<OperationId>,
    published: Vec<Snapshot>,
    welcomes: Vec<(u64, Down)>,
    pub(crate) sends: Vec<(u64, Frame, bool)>,
    disconnects: Vec<(HostName, u64)>,
    /// Operations whose start is to be answered.
    pub(crate) started: Vec<OperationId>,
}

impl Controller {
    pub(crate) fn new(clocks: Clocks) -> Controller {
        Controller {
            core: None,
            processes: 0,
            clocks,
            disk: Disk::default(),
            backup: None,
            store_is_away: false,
            doomed: None,
            stopping: false,
            inbox: VecDeque::new(),
            appending: None,
            backlog: VecDeque::new(),
            wakes_at: u64::MAX,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.core.is_some()
    }
}

impl World {
    pub(crate) fn start_controller(&mut self) {
        if self.controller.is_up() {
            return;
        }
        let (approval, planted) = (self.plan.approval, self.planted.controller);
        let boot = self.controller.clocks.boot;
        // Most runs start an operation in several slices.
        let start_at_a_time = u32::try_from(self.plan.seed % 5 + 1).unwrap_or(1);
        let settings = Settings { heartbeat_ms: HEARTBEAT_MS, boot, approval, start_at_a_time, planted };
        let controller = &mut self.controller;
        if controller.store_is_away {
            // It does not start without its store.
            return self.agenda.put(self.t + STORE_RETRY_MS, Happening::ControllerStarts);
        }
        controller.processes += 1;
        let now = controller.clocks.now(self.t);
        controller.core = Some(Core::recover(now, settings, controller.disk.recovered()));
        controller.wakes_at = u64::MAX;
        controller.stopping = false;
        self.truth.healthy_since = self.t;
        self.log(|| "the controller starts".into());
        self.model.restarted(self.t, &self.controller.disk);
        self.read_times_again();
        self.controller_turn();
    }

    pub(crate) fn controller_hears(&mut self, number: u64, frame: Up) {
        let process = self.controller.processes;
        let is_up = self.controller.is_up();
        let Some(stream) = self.network.stream(number) else { return };
        if !is_up || stream.controller != process {
            return;
        }
        let host = self.hosts[stream.host].name.clone();
        let input = match frame {
            Up::Hello(_) if !stream.controller_open => return,
            Up::Hello(hello) => Input::Attach { stream: number, hello },
            // A dead stream's frames may still come: the core knows them by their session.
            Up::Report(report) => Input::Event(Event::Reported { host, session: number, report: *report }),
            Up::Inventory { guests, removed, replace, digest } => {
                let upserts = guests;
                Input::Event(Event::InventoryChanged {
                    host,
                    session: number,
                    replace,
                    upserts,
                    removed,
                    digest,
                })
            }
        };
        self.controller_takes(input);
    }

    pub(crate) fn controller_notices(&mut self, number: u64) {
        let Some(stream) = self.network.stream_mut(number) else { return };
        stream.cut = true;
        if !std::mem::replace(&mut stream.controller_open, false) {
            return;
        }
        let (host, of_process) = (self.hosts[stream.host].name.clone(), stream.controller);
        if self.controller.is_up() && of_process == self.controller.processes {
            self.controller_takes(Input::Event(Event::Detached { host, session: number }));
        }
    }

    pub(crate) fn controller_takes(&mut self, input: Input) {
        self.controller.inbox.push_back(input);
        if self.controller.appending.is_none() {
            self.controller_turn();
        }
    }

    pub(crate) fn controller_woken(&mut self, process: u64) {
        if self.controller.processes != process || !self.controller.is_up() {
            return;
        }
        if self.t >= self.controller.wakes_at {
            self.controller.wakes_at = u64::MAX;
        }
        if self.controller.appending.is_none() {
            self.controller_turn();
        }
    }

    /// One turn: everything that has come in, one drain, one append.
    fn controller_turn(&mut self) {
        let mut turn = Turn::default();
        // What a controller writes as it begins is a call of its own.
        self.drain(&mut turn);
        while let Some(input) = self.controller.inbox.pop_front() {
            self.take_input(input, &mut turn);
            self.drain(&mut turn);
        }
        let now = self.controller.clocks.now(self.t);
        let Some(core) = &mut self.controller.core else { return };
        core.handle(now, Event::Tick);
        self.drain(&mut turn);
        self.snapshot(&mut turn);
        self.check_holds_shown();
        // Now and then is enough: what idles does so for long.
        if self.happened.is_multiple_of(16) && !self.controller.stopping {
            self.check_nothing_idles();
        }
        if !self.controller.backlog.is_empty() {
            let rest = self.carry_out_urgent(turn);
            self.controller.backlog.push_back(rest);
        } else if turn.written.is_empty() {
            self.carry_out_turn(turn, false);
        } else {
            self.controller.appending = Some(turn);
            let rng = &mut self.chances.shells;
            let takes = if rng.chance(90) { rng.between(0, 5) } else { rng.between(10, 400) };
            let process = self.controller.processes;
            self.agenda.put(self.t + takes, Happening::Appended { process });
        }
        self.wake_controller_later();
    }

    fn take_input(&mut self, input: Input, turn: &mut Turn) {
        let now = self.controller.clocks.now(self.t);
        match input {
            Input::Attach { stream, hello } => {
                let Some(open) = self.network.stream(stream) else { return };
                let host = open.host;
                let name = self.hosts[host].name.clone();
                let Some(core) = &mut self.controller.core else { return };
                let answer = core.attach(now, &name, stream, &hello, "1.0");
                self.log(|| format!("host {host} attaches as stream {stream}: {answer:?}"));
                if answer != Err(AttachError::ShuttingDown) {
                    self.truth.attached(host, stream, answer.is_ok());
                }
                match answer {
                    Ok(welcome) => turn.welcomes.push((stream, Down::Welcome(welcome))),
                    Err(_) => turn.welcomes.push((stream, Down::Refused)),
                }
            }
            Input::Event(event) => {
                self.log(|| format!("the controller takes {event:?}"));
                if let Event::Detached { session, .. } = &event
                    && let Some(host) = self.network.stream(*session).map(|stream| stream.host)
                {
                    self.truth.detached(host, *session);
                }
                if let Some(core) = &mut self.controller.core {
                    core.handle(now, event);
                }
            }
            Input::Asked(place) => self.take_request(place, turn),
            Input::Tended => self.tend(turn),
        }
    }

    /// Takes what one call of the core came to.
    pub(crate) fn drain(&mut self, turn: &mut Turn) {
        let Some(core) = &mut self.controller.core else { return };
        let (mut records, mut notes, mut told) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(action) = core.poll_action() {
            match action {
                Action::Record(record) => records.push(record),
                Action::Publish(operation) => {
                    turn.touched.insert(operation);
                }
                Action::Send { session, frame, urgent, .. } => {
                    if let Frame::Safeguards(safeguards) = &frame {
                        told.push(safeguards.clone());
                    }
                    turn.sends.push((session, frame, urgent));
                }
                Action::Disconnect { host, session, .. } => turn.disconnects.push((host, session)),
                Action::Note { text, .. } => notes.push(text),
            }
        }
        let away = core.store_is_away();
        let wall = self.controller.clocks.now(self.t).wall;
        for text in notes {
            self.log(|| format!("the controller: {text}"));
        }
        for record in &records {
            self.log(|| format!("the controller writes {record:?}"));
            self.truth.check_record_while(away, record);
            let checked = self.model.told.take(wall, record);
            self.truth.hold(checked);
        }
        for safeguards in told {
            let checked = self.model.told.check_sent(&safeguards);
            self.truth.hold(checked);
        }
        self.model.told.asked.clear();
        if !records.is_empty() {
            turn.written.push(Written { at: self.t, records });
        }
    }

    /// Takes what the turn has changed as it stands now.
    fn snapshot(&mut self, turn: &mut Turn) {
        let Some(core) = &self.controller.core else { return };
        let touched = std::mem::take(&mut turn.touched);
        turn.published.extend(touched.into_iter().filter_map(|id| Snapshot::of(core, id)));
        self.check_watchers(&turn.published);
    }

    pub(crate) fn appended(&mut self, process: u64) {
        if self.controller.processes != process || !self.controller.is_up() {
            return;
        }
        let Some(turn) = self.controller.appending.take() else { return };
        if self.controller.store_is_away {
            let now = self.controller.clocks.now(self.t);
            if let Some(core) = &mut self.controller.core {
                core.handle(now, Event::StoreAway);
            }
            self.log(|| "the store does not answer".into());
            let rest = self.carry_out_urgent(turn);
            self.controller.backlog.push_back(rest);
            self.agenda.put(self.t + STORE_RETRY_MS, Happening::StoreTried { process });
            return self.controller_turn();
        }
        match self.controller.doomed.take() {
            Some((CrashPoint::BeforeSync, ms)) => {
                self.controller.appending = Some(turn);
                return self.kill_controller(ms);
            }
            Some((CrashPoint::AfterSync, ms)) => {
                self.store(&turn.written);
                return self.kill_controller(ms);
            }
            Some((CrashPoint::Idle | CrashPoint::Halfway, ms)) => {
                self.store(&turn.written);
                self.carry_out_turn(turn, true);
                return self.kill_controller(ms);
            }
            None => self.store(&turn.written),
        }
        self.carry_out_turn(turn, false);
        self.controller_turn();
    }

    fn store(&mut self, written: &[Written]) {
        for Written { at, records } in written {
            for record in records {
                self.check_durable(*at, record);
                self.controller.disk.append(record);
                let checked = self.model.take(*at, record, &self.controller.disk);
                self.truth.hold(checked);
            }
            let checked = self.model.end_call(*at);
            self.truth.hold(checked);
        }
    }

    /// Publishes, sends and answers what rests on stored records; only the first half of it if the process dies then.
    fn carry_out_turn(&mut self, turn: Turn, halfway: bool) {
        for snapshot in &turn.published {
            self.check_published(snapshot);
        }
        for (stream, welcome) in turn.welcomes {
            self.check_acknowledgement(stream, &welcome);
            self.send_down(stream, welcome);
        }
        let sends = if halfway { turn.sends.len() / 2 } else { turn.sends.len() };
        for (stream, frame, _) in turn.sends.into_iter().take(sends) {
            self.hand_frame(stream, frame);
        }
        if halfway {
            return;
        }
        for (_, session) in turn.disconnects {
            self.send_down(session, Down::Refused);
        }
        self.operator.known.extend(turn.started);
    }

    /// While the store is away only what makes things safer goes out; the rest waits.
    fn carry_out_urgent(&mut self, mut turn: Turn) -> Turn {
        for (stream, welcome) in std::mem::take(&mut turn.welcomes) {
            self.check_acknowledgement(stream, &welcome);
            self.send_down(stream, welcome);
        }
        let (urgent, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut turn.sends).into_iter().partition(|(_, _, urgent)| *urgent);
        // An order that waited would arrive with more time than is left; the core says it again.
        turn.sends = waiting.into_iter().filter(|(_, frame, _)| !matches!(frame, Frame::Order(_))).collect();
        for (stream, frame, _) in urgent {
            self.hand_frame(stream, frame);
        }
        for (_, session) in std::mem::take(&mut turn.disconnects) {
            self.send_down(session, Down::Refused);
        }
        turn
    }

    fn hand_frame(&mut self, stream: u64, frame: Frame) {
        let frame = Down::Frame(frame);
        self.check_acknowledgement(stream, &frame);
        self.send_down(stream, frame);
    }

    pub(crate) fn try_store(&mut self, process: u64) {
        if self.controller.processes != process || !self.controller.is_up() {
            return;
        }
        if self.controller.store_is_away {
            return self.agenda.put(self.t + STORE_RETRY_MS, Happening::StoreTried { process });
        }
        while let Some(turn) = self.controller.backlog.pop_front() {
            self.store(&turn.written);
            self.carry_out_turn(turn, false);
        }
        self.log(|| "the store answers again".into());
        self.truth.healthy_since = self.t;
        let now = self.controller.clocks.now(self.t);
        if let Some(core) = &mut self.controller.core {
            core.handle(now, Event::StoreBack);
        }
        self.controller_turn();
    }

    pub(crate) fn store_heals(&mut self) {
        if std::mem::replace(&mut self.controller.store_is_away, false) {
            self.truth.healthy_since = self.t;
        }
    }

    fn wake_controller_later(&mut self) {
        let jitter = self.chances.shells.between(0, 3);
        let controller = &mut self.controller;
        let Some((at, _)) = controller.core.as_ref().and_then(Core::poll_timeout) else { return };
        let at = controller.clocks.moment_of(at).max(self.t + 1) + jitter;
        if at < controller.wakes_at {
            controller.wakes_at = at;
            self.agenda.put(at, Happening::ControllerTick { process: controller.processes });
        }
    }

    /// The controller's process is gone, with everything that was not stored; its streams die with it.
    pub(crate) fn kill_controller(&mut self, back_in_ms: u64) {
        if self.controller.core.take().is_none() {
            return;
        }
        self.log(|| "the controller is killed".into());
        let unstored = self.controller.appending.take().is_some() || !self.controller.backlog.is_empty();
        self.controller.inbox.clear();
        self.controller.backlog.clear();
        self.truth.controller_died(unstored);
        for host in 0..self.hosts.len() {
            for stream in self.live_streams(host) {
                self.cut(stream);
            }
        }
        self.agenda.put(self.t + back_in_ms, Happening::ControllerStarts);
    }
}
