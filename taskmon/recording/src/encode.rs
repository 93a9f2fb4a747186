// SPDX-License-Identifier: GPL-2.0-only

//! Encoding samples into chunks.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use taskmonitor::Id;
use taskmonitor::Sample;

use crate::Exec;
use crate::Head;
use crate::bytes::put;
use crate::bytes::put_difference;
use crate::chunk::Chunk;
use crate::chunk::Kind;
use crate::chunk::LONGEST;
use crate::sample::FRESH;
use crate::sample::MOST_TASKS;
use crate::sample::Stream;
use crate::sample::Track;

/// No sample, and no name, takes more.
const LARGEST: usize = 512;
/// A fresh chunk comes no earlier than after so many bytes, ...
const STRETCH: usize = 1 << 16;
/// ... and so many times what it costs to begin afresh.
const WORTH: usize = 8;

/// Encodes samples and names into chunks, without any I/O.
#[derive(Debug)]
pub struct Encoder {
    head: Head,
    stream: Stream,
    numbers: FxHashMap<Id, usize>,
    // Each with whether it has come since the last fresh chunk.
    names: FxHashMap<Id, (Vec<u8>, bool)>,
    // The process of each thread, likewise.
    threads: FxHashMap<Id, (u32, bool)>,
    // What is gathered: names are of the samples behind them.
    named: Vec<u8>,
    grouped: Vec<u8>,
    payload: Vec<u8>,
    samples: Vec<(Id, u64)>,
    ready: VecDeque<Chunk>,
    // Whether the head has just been given.
    headed: bool,
    // Whether the next chunk of samples is to be a fresh one.
    fresh: bool,
    // Bytes since the last fresh chunk, and of them those that only a fresh chunk makes necessary.
    stretch: usize,
    cost: usize,
}

impl Encoder {
    /// Returns an encoder for a recording with `head`, which is its first chunk.
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self {
            ready: VecDeque::from([Chunk::head(&head)]),
            headed: true,
            head,
            stream: Stream::default(),
            numbers: FxHashMap::default(),
            names: FxHashMap::default(),
            threads: FxHashMap::default(),
            named: Vec::new(),
            grouped: Vec::new(),
            payload: Vec::new(),
            samples: Vec::new(),
            fresh: true,
            stretch: 0,
            cost: 0,
        }
    }

    /// Says how the command began whose samples follow. This is the end of the current chunks.
    pub fn exec(&mut self, exec: Exec) {
        self.flush();
        self.head.exec = Some(exec);
        // The head that was given does not say so: there is another one before the next sample.
        self.headed = false;
        self.fresh = true;
    }

    /// Adds the name of a task, cut to 255 bytes. An unchanged name is ignored.
    pub fn name(&mut self, id: Id, name: &[u8]) {
        let name = name.get(..255).unwrap_or(name);
        if self.names.get(&id).is_some_and(|(known, _)| known == name) {
            return;
        }
        // What was sampled so far is of the name before, if there was one.
        if self.names.insert(id, (name.to_vec(), true)).is_some() && !self.payload.is_empty() {
            self.flush();
        }
        self.put_name(id, name);
    }

    fn put_name(&mut self, id: Id, name: &[u8]) {
        if self.named.len() + LARGEST > LONGEST {
            self.push(Kind::Names);
        }
        put(&mut self.named, id.pid.into());
        put(&mut self.named, id.start);
        self.named.push(name.len() as u8);
        self.named.extend_from_slice(name);
    }

    /// Adds that the task `id` is a thread of the process with the PID `process`. What is known
    /// already is ignored.
    pub fn thread(&mut self, id: Id, process: u32) {
        if self.threads.get(&id).is_none_or(|&(known, _)| known != process) {
            self.threads.insert(id, (process, true));
            self.put_thread(id, process);
        }
    }

    fn put_thread(&mut self, id: Id, process: u32) {
        if self.grouped.len() + LARGEST > LONGEST {
            self.push(Kind::Threads);
        }
        put(&mut self.grouped, id.pid.into());
        put(&mut self.grouped, id.start);
        put(&mut self.grouped, process.into());
    }

    /// Adds the next sample.
    pub fn sample(&mut self, sample: &Sample) {
        if self.payload.len() + LARGEST > LONGEST {
            self.flush();
        }
        let id = sample.id();
        let expected = self.stream.expected();
        let known = if self.fresh {
            None
        } else if self.stream.tracks.get(expected).is_some_and(|track| track.id() == id) {
            Some(expected)
        } else {
            self.numbers.get(&id).copied()
        };
        if self.fresh || known.is_none() && self.stream.tracks.len() >= MOST_TASKS {
            self.begin_afresh();
        } else if self.payload.is_empty() {
            self.payload.push(0);
        }
        let begin = self.payload.len();
        let number = known.filter(|&number| number < self.stream.tracks.len()).unwrap_or(self.stream.tracks.len());
        put_difference(&mut self.payload, number as u64, self.stream.expected() as u64);
        if number == self.stream.tracks.len() {
            put(&mut self.payload, id.pid.into());
            put(&mut self.payload, id.start);
            self.stream.tracks.extend(Track::new(id));
            self.numbers.insert(id, number);
        }
        let before = self.stream.round(number);
        let new = self.stream.tracks.get_mut(number).map(|track| {
            let new = track.begun();
            track.put(&mut self.payload, sample, before);
            !new
        });
        self.stream.went_on(number, sample.time);
        self.samples.push((id, sample.seq));
        if new == Some(true) {
            self.cost += self.payload.len() - begin;
        }
        self.stretch += self.payload.len() - begin;
    }

    fn begin_afresh(&mut self) {
        self.push(Kind::Samples);
        self.fresh = false;
        // All names are written anew. But of tasks that had no sample since the last time there may be none any more.
        self.named.clear();
        self.grouped.clear();
        let numbers = std::mem::take(&mut self.numbers);
        let mut names = std::mem::take(&mut self.names);
        names.retain(|id, (_, new)| std::mem::replace(new, false) || numbers.contains_key(id));
        let mut threads = std::mem::take(&mut self.threads);
        threads.retain(|id, (_, new)| std::mem::replace(new, false) || numbers.contains_key(id));
        self.stream.reset();
        self.stretch = 0;
        self.cost = 0;
        if !std::mem::replace(&mut self.headed, false) {
            let head = Chunk::head(&self.head);
            self.cost = head.size();
            self.ready.push_back(head);
        }
        for (&id, (name, _)) in &names {
            self.cost += name.len() + 16;
            self.put_name(id, name);
        }
        self.names = names;
        for (&id, &(process, _)) in &threads {
            self.cost += 16;
            self.put_thread(id, process);
        }
        self.threads = threads;
        self.push(Kind::Names);
        self.push(Kind::Threads);
        self.payload.push(FRESH);
    }

    /// What has been gathered of that kind is a chunk.
    fn push(&mut self, kind: Kind) {
        let payload = match kind {
            Kind::Names => &mut self.named,
            Kind::Threads => &mut self.grouped,
            _ => &mut self.payload,
        };
        if payload.is_empty() {
            return;
        }
        let mut chunk = Chunk::new(kind, std::mem::take(payload));
        if kind == Kind::Samples {
            chunk.samples = std::mem::take(&mut self.samples);
        }
        self.stretch += chunk.size() - chunk.payload.len();
        self.ready.push_back(chunk);
    }

    /// Completes the current chunks: all samples and names so far are available from
    /// [`chunk`](Self::chunk).
    pub fn flush(&mut self) {
        self.push(Kind::Names);
        self.push(Kind::Threads);
        self.push(Kind::Samples);
        if self.stretch >= STRETCH.max(WORTH * self.cost) {
            self.fresh = true;
        }
    }

    /// Makes the next chunk of samples a fresh one. Call this after chunks were lost.
    pub fn renew(&mut self) {
        self.fresh = true;
    }

    /// Returns the number of encoded bytes that are not in a chunk yet.
    #[must_use]
    pub fn gathered(&self) -> usize {
        self.payload.len() + self.named.len() + self.grouped.len()
    }

    /// Returns the next complete chunk. Chunks must be written in this order.
    pub fn chunk(&mut self) -> Option<Chunk> {
        self.ready.pop_front()
    }
}
