//! The fixed set of guests of an operation, packed chunk by chunk, host after host.

use super::body::{BodyError, CHUNK};
use super::columns::{Packer, Unpacker};
use super::fault::{Fault, Result};
use super::guests::{GuestBody, Identity};
use super::rows;
use curfew_controller_core::record::{TargetGuest, TargetHost};
use curfew_types::HostName;
use prost::Message;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

/// In the byte before a guest: which way its id is written.
const UUID: u8 = 1;
const LOCAL: u8 = 2;
const OTHER: u8 = 3;
const WAY: u8 = 0b11;
/// In the same byte: its wave follows, since it is not that of the guest before.
const WAVE: u8 = 0b100;

/// The guests of one host within a chunk. They may go on in the next one.
pub(super) struct HostTargets {
    pub(super) host: HostName,
    pub(super) guests: Vec<TargetGuest>,
}

/// The targets of one chunk.
#[derive(Clone, PartialEq, Message)]
struct TargetsBody {
    /// As versions before the third schema wrote them.
    #[prost(message, repeated, tag = "1")]
    hosts: Vec<TargetHostBody>,
    #[prost(bytes = "vec", tag = "2")]
    columns: Vec<u8>,
}

/// One host's targets within a chunk, as versions before the third schema wrote them.
#[derive(Clone, PartialEq, Message)]
struct TargetHostBody {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(message, repeated, tag = "2")]
    guests: Vec<GuestBody>,
}

/// Chunks in a part: as many as one statement inserts.
const CHUNKS_A_PART: usize = rows::LARGEST;
/// Threads that pack a large set: inserting takes about as long as one of them would.
const THREADS: usize = 2;
/// Parts that a thread has ready at most, a third of a megabyte each: more than that is packed when somebody takes them.
const PARTS_AHEAD: usize = 8;

/// The targets' bodies, chunk after chunk, in parts; all but the last have [`CHUNKS_A_PART`].
///
/// A large set is packed on other threads, from the beginning on: until it is stored no order goes out. Dropping this ends them.
pub(super) struct Packing(Parts);

enum Parts {
    /// A small set, which is packed where it is asked for.
    Here(Option<(Arc<[TargetHost]>, Vec<Cut>)>),
    Elsewhere {
        /// The threads have the parts in turns.
        threads: [Thread; THREADS],
        next: usize,
        count: usize,
    },
}

/// A thread that packs.
struct Thread {
    parts: mpsc::Receiver<Vec<Vec<u8>>>,
    end: JoinHandle<()>,
}

impl Packing {
    /// Begins to pack. `None` if the indices have gaps.
    pub(super) fn begin(hosts: &Arc<[TargetHost]>) -> Option<Packing> {
        let chunks = split(hosts)?;
        if chunks.len() <= CHUNKS_A_PART {
            return Some(Packing(Parts::Here(Some((Arc::clone(hosts), chunks)))));
        }
        let count = chunks.len().div_ceil(CHUNKS_A_PART);
        let chunks = Arc::new(chunks);
        let threads = std::array::from_fn(|thread| {
            let (parts_tx, parts) = mpsc::channel(PARTS_AHEAD);
            let (hosts, chunks) = (Arc::clone(hosts), Arc::clone(&chunks));
            let end = tokio::task::spawn_blocking(move || {
                for part in chunks.chunks(CHUNKS_A_PART).skip(thread).step_by(THREADS) {
                    if parts_tx.blocking_send(pack_part(&hosts, part)).is_err() {
                        // Nobody wants them any more.
                        return;
                    }
                }
            });
            Thread { parts, end }
        });
        Some(Packing(Parts::Elsewhere { threads, next: 0, count }))
    }

    /// Whether other threads do it.
    pub(super) fn is_large(&self) -> bool {
        matches!(self.0, Parts::Elsewhere { .. })
    }

    /// The next part; `None` after the last.
    ///
    /// # Errors
    /// When the runtime ends before its thread has begun. A panic of the thread is this one's.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<Vec<u8>>>> {
        match &mut self.0 {
            Parts::Here(set) => set.take().map(|(hosts, chunks)| Ok(pack_part(&hosts, &chunks))),
            Parts::Elsewhere { next, count, .. } if next == count => None,
            Parts::Elsewhere { threads, next, .. } => {
                let Thread { parts, end } = &mut threads[*next % THREADS];
                *next += 1;
                match parts.recv().await {
                    Some(part) => Some(Ok(part)),
                    None => Some(Err(why_gone(end).await)),
                }
            }
        }
    }
}

/// Why a thread is gone that has more to pack.
async fn why_gone(end: &mut JoinHandle<()>) -> Fault {
    match end.await.map_err(JoinError::try_into_panic) {
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(cancelled)) => std::io::Error::from(cancelled).into(),
        Ok(()) => std::io::Error::other("a thread has left guests unpacked").into(),
    }
}

fn pack_part(hosts: &[TargetHost], chunks: &[Cut]) -> Vec<Vec<u8>> {
    chunks.iter().map(|chunk| pack_chunk(hosts, chunk)).collect()
}

/// What a chunk holds: hosts by their places, each with the range of its guests.
type Cut = Vec<(usize, Range<usize>)>;

/// Which guests belong to which chunk. `None` if the indices have gaps.
fn split(hosts: &[TargetHost]) -> Option<Vec<Cut>> {
    let room = usize::try_from(CHUNK).ok()?;
    let (mut chunks, mut chunk) = (Vec::new(), Vec::new());
    let mut index = 0_usize;
    for (place, host) in hosts.iter().enumerate() {
        if usize::try_from(host.first).ok()? != index {
            return None;
        }
        let mut from = 0;
        // A host without guests is kept too: it has its place.
        loop {
            let here = (host.guests.len() - from).min(room - index % room);
            chunk.push((place, from..from + here));
            from += here;
            index += here;
            if index.is_multiple_of(room) && here > 0 {
                chunks.push(std::mem::take(&mut chunk));
            }
            if from == host.guests.len() {
                break;
            }
        }
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    Some(chunks)
}

fn pack_chunk(hosts: &[TargetHost], cut: &Cut) -> Vec<u8> {
    let mut chunk = Chunk::default();
    for (place, guests) in cut {
        let TargetHost { host, guests: all, .. } = &hosts[*place];
        chunk.add(host, &all[guests.clone()]);
    }
    chunk.into_body()
}

/// Room for a chunk's targets as a rule: a UUID, what is new in a name, and what says how long that is.
const CHUNK_BYTES: usize = CHUNK as usize * 32;

/// A chunk that is being packed.
struct Chunk<'a> {
    packer: Packer,
    host: &'a str,
    id: &'a str,
    name: &'a str,
    wave: u8,
}

impl Default for Chunk<'_> {
    fn default() -> Self {
        Chunk { packer: Packer::with_capacity(CHUNK_BYTES), host: "", id: "", name: "", wave: 0 }
    }
}

impl<'a> Chunk<'a> {
    fn add(&mut self, host: &'a HostName, guests: &'a [TargetGuest]) {
        self.packer.text(self.host, host.as_str());
        self.packer.count(guests.len());
        for guest in guests {
            self.add_guest(host, guest);
        }
        self.host = host.as_str();
    }

    fn add_guest(&mut self, host: &HostName, guest: &'a TargetGuest) {
        let wave = if guest.wave == self.wave { 0 } else { WAVE };
        match Identity::of(host, &guest.id) {
            Identity::Uuid(bytes) => {
                self.packer.bytes(&[UUID | wave]);
                self.packer.bytes(&bytes);
            }
            Identity::Local(local) => self.add_id(LOCAL | wave, local),
            Identity::Other(other) => self.add_id(OTHER | wave, other),
        }
        self.packer.text(self.name, &guest.name);
        self.name = &guest.name;
        if wave != 0 {
            self.packer.bytes(&[guest.wave]);
            self.wave = guest.wave;
        }
    }

    fn add_id(&mut self, tag: u8, id: &'a str) {
        self.packer.bytes(&[tag]);
        self.packer.text(self.id, id);
        self.id = id;
    }

    fn into_body(self) -> Vec<u8> {
        TargetsBody { hosts: Vec::new(), columns: self.packer.into_bytes() }.encode_to_vec()
    }
}

/// The hosts of a chunk with their guests.
///
/// # Errors
/// When the body cannot be understood.
pub(super) fn unpack_targets(body: &[u8]) -> Result<Vec<HostTargets>, BodyError> {
    let body = TargetsBody::decode(body)?;
    let mut hosts = Vec::new();
    for TargetHostBody { host, guests } in body.hosts {
        let host: HostName = host.parse()?;
        let guests = guests.into_iter().map(|guest| guest.into_target(&host)).collect::<Result<_, _>>()?;
        hosts.push(HostTargets { host, guests });
    }
    let mut last = Last { unpacker: Unpacker::new(&body.columns), ..Last::default() };
    while !last.unpacker.is_empty() {
        hosts.push(last.next_host()?);
    }
    Ok(hosts)
}

/// What was read last, which the next one repeats in part.
struct Last<'a> {
    unpacker: Unpacker<'a>,
    host: String,
    id: String,
    name: String,
    wave: u8,
}

impl Default for Last<'_> {
    fn default() -> Self {
        let text = String::new;
        Last { unpacker: Unpacker::new(&[]), host: text(), id: text(), name: text(), wave: 0 }
    }
}

impl Last<'_> {
    fn next_host(&mut self) -> Result<HostTargets, BodyError> {
        self.unpacker.text(&mut self.host)?;
        let host: HostName = self.host.parse()?;
        let count = self.unpacker.count()?;
        // Noise may name any number; a chunk has room for so many.
        let mut guests = Vec::with_capacity(count.min(usize::from(u8::MAX)));
        for _ in 0..count {
            guests.push(self.next_guest(&host)?);
        }
        Ok(HostTargets { host, guests })
    }

    fn next_guest(&mut self, host: &HostName) -> Result<TargetGuest, BodyError> {
        let tag = self.unpacker.byte()?;
        let identity = match tag & WAY {
            UUID => {
                let bytes = self.unpacker.bytes(16)?.try_into().map_err(|_| BodyError::Columns)?;
                Identity::Uuid(bytes)
            }
            LOCAL => {
                self.unpacker.text(&mut self.id)?;
                Identity::Local(&self.id)
            }
            OTHER => {
                self.unpacker.text(&mut self.id)?;
                Identity::Other(&self.id)
            }
            _ => return Err(BodyError::Columns),
        };
        let id = identity.guest(host)?;
        self.unpacker.text(&mut self.name)?;
        if tag & WAVE != 0 {
            self.wave = self.unpacker.byte()?;
        }
        Ok(TargetGuest { id, name: self.name.as_str().into(), wave: self.wave })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All parts of a set.
    fn parts(hosts: &[TargetHost]) -> Vec<Vec<Vec<u8>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut packing = Packing::begin(&hosts.into()).expect("no gaps");
            let mut parts = Vec::new();
            while let Some(part) = packing.next().await {
                parts.push(part.expect("a part"));
            }
            parts
        })
    }

    fn packed(hosts: &[TargetHost]) -> Vec<Vec<u8>> {
        parts(hosts).concat()
    }

    fn guest() -> impl Strategy<Value = TargetGuest> {
        let id = prop_oneof![
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "host-1/qga/[a-z0-9]{1,9}",
            "[A-Z0-9-]{1,36}",
        ];
        let id = id.prop_map(|id| id.parse().expect("an id"));
        let target = |(id, name, wave): (_, String, _)| TargetGuest { id, name: name.into(), wave };
        (id, "desk-[0-9é]{0,30}", any::<u8>()).prop_map(target)
    }

    proptest! {
        #[test]
        fn targets_read_back_as_written(
            guests in prop::collection::vec(prop::collection::vec(guest(), 0..300), 0..5)
        ) {
            let mut first = 0;
            let mut hosts = Vec::new();
            for (number, guests) in guests.into_iter().enumerate() {
                let count = u32::try_from(guests.len()).expect("few");
                let host = format!("host-{number}").parse().expect("a name");
                hosts.push(TargetHost { host, first, guests });
                first += count;
            }
            let chunks = packed(&hosts);
            let mut read: Vec<(HostName, Vec<TargetGuest>)> = Vec::new();
            for chunk in chunks {
                for HostTargets { host, guests } in unpack_targets(&chunk).expect("targets") {
                    match read.last_mut() {
                        Some((last, all)) if *last == host => all.extend(guests),
                        _ => read.push((host, guests)),
                    }
                }
            }
            let written: Vec<_> = hosts.into_iter().map(|host| (host.host, host.guests)).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn noise_is_an_error_and_no_panic(noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let body = TargetsBody { hosts: Vec::new(), columns: noise };
            let _ = unpack_targets(&body.encode_to_vec());
        }
    }

    #[test]
    fn a_large_set_comes_in_parts_and_in_its_order() {
        let guest = |number: usize| TargetGuest {
            id: format!("{number}").parse().expect("an id"),
            name: "desk".into(),
            wave: 0,
        };
        let each = 1000;
        let host = |number: u32| TargetHost {
            host: format!("host-{number}").parse().expect("a name"),
            first: number * each,
            guests: (0..each as usize).map(guest).collect(),
        };
        let hosts: Vec<TargetHost> = (0..40).map(host).collect();
        let parts = parts(&hosts);
        assert_eq!(
            parts.iter().map(Vec::len).collect::<Vec<_>>(),
            [64, 64, 40_000_usize.div_ceil(256) - 128]
        );
        assert_eq!(parts.concat(), pack_part(&hosts, &split(&hosts).expect("no gaps")));
    }

    #[tokio::test]
    #[should_panic(expected = "it broke")]
    async fn a_panic_of_a_thread_that_packs_is_not_taken_for_a_store_that_is_away() {
        why_gone(&mut tokio::task::spawn_blocking(|| panic!("it broke"))).await;
    }

    #[test]
    fn a_target_like_its_neighbours_costs_its_uuid_and_four_bytes() {
        let target = |number: u32| TargetGuest {
            id: format!("0c7a9b1e-52d4-4f0e-8d5b-2f1c3a4b{number:04x}").parse().expect("an id"),
            name: format!("desk-00412-{number:02}").into(),
            wave: 0,
        };
        let host = |count| TargetHost {
            host: "host-00412".parse().expect("a name"),
            first: 0,
            guests: (0..count).map(target).collect(),
        };
        let size = |count| packed(&[host(count)]).concat().len();
        assert!(size(90) - size(40) <= 50 * 20, "{} and {}", size(40), size(90));
    }
}
