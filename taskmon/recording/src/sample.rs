// SPDX-License-Identifier: GPL-2.0-only

//! Samples as differences to what is expected.

use taskmonitor::Id;
use taskmonitor::Sample;
use taskmonitor::State;

use crate::Exec;
use crate::bytes::Bytes;
use crate::bytes::put_difference;

/// The bit of a chunk that needs nothing of what was before it.
pub(crate) const FRESH: u8 = 1;
/// Tasks since the last fresh chunk.
pub(crate) const MOST_TASKS: usize = 1 << 20;

const SEQ: u8 = 1;
const USR: u8 = 2;
const SYS: u8 = 4;
const RSS: u8 = 8;
const MINFLT: u8 = 16;
const MAJFLT: u8 = 32;
const MM_USERS: u8 = 64;
const STATE: u8 = 128;

/// The counters with which the samples of a command begin.
pub(crate) fn beginning(exec: &Exec) -> Option<Sample> {
    Some(Sample { time: exec.time, seq: exec.seq, ..Track::new(exec.id)?.last })
}

/// What is known of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Track {
    last: Sample,
    // Between its last two samples.
    step: u64,
    // Whether it has a sample.
    begun: bool,
}

impl Track {
    /// Of a task without a sample yet.
    pub(crate) fn new(id: Id) -> Option<Self> {
        let last = Sample {
            pid: id.pid,
            usr: 0,
            sys: 0,
            time: id.start,
            rss: 0,
            minflt: 0,
            majflt: 0,
            mm_users: 0,
            state: State::new('S')?,
            // One more is 0.
            seq: u64::MAX,
            start: id.start,
        };
        Some(Self { last, step: 0, begun: false })
    }

    pub(crate) fn id(&self) -> Id {
        self.last.id()
    }

    pub(crate) fn begun(&self) -> bool {
        self.begun
    }

    fn time(&self, before: Option<u64>) -> u64 {
        before.unwrap_or(self.last.time.wrapping_add(self.step))
    }

    fn take(&mut self, sample: Sample) {
        self.step = if self.begun { sample.time.wrapping_sub(self.last.time) } else { 0 };
        self.begun = true;
        self.last = sample;
    }

    /// Appends `sample`. `before` is the time of the sample before it in its round.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, sample: &Sample, before: Option<u64>) {
        let last = &self.last;
        let fields = [
            (SEQ, sample.seq, last.seq.wrapping_add(1)),
            (USR, sample.usr, last.usr),
            (SYS, sample.sys, last.sys),
            (RSS, sample.rss, last.rss),
            (MINFLT, sample.minflt, last.minflt),
            (MAJFLT, sample.majflt, last.majflt),
            (MM_USERS, sample.mm_users.into(), last.mm_users.into()),
        ];
        let state = if sample.state == last.state { 0 } else { STATE };
        let unlike = |(_, value, predicted): &&(u8, u64, u64)| value != predicted;
        out.push(fields.iter().filter(unlike).fold(state, |flags, (flag, ..)| flags | flag));
        put_difference(out, sample.time, self.time(before));
        for &(_, value, predicted) in fields.iter().filter(unlike) {
            put_difference(out, value, predicted);
        }
        if state != 0 {
            // A state is an ASCII letter.
            out.push(sample.state.letter() as u8);
        }
        self.take(*sample);
    }

    /// The sample that follows.
    pub(crate) fn get(&mut self, bytes: &mut Bytes<'_>, before: Option<u64>) -> Option<Sample> {
        let flags = bytes.byte()?;
        let last = &self.last;
        let time = bytes.difference(self.time(before))?;
        let mut field = |flag: u8, predicted: u64| {
            if flags & flag == 0 { Some(predicted) } else { bytes.difference(predicted) }
        };
        let sample = Sample {
            pid: last.pid,
            start: last.start,
            time,
            seq: field(SEQ, last.seq.wrapping_add(1))?,
            usr: field(USR, last.usr)?,
            sys: field(SYS, last.sys)?,
            rss: field(RSS, last.rss)?,
            minflt: field(MINFLT, last.minflt)?,
            majflt: field(MAJFLT, last.majflt)?,
            mm_users: field(MM_USERS, last.mm_users.into())?.try_into().ok()?,
            state: if flags & STATE == 0 { last.state } else { State::new(bytes.byte()?.into())? },
        };
        self.take(sample);
        Some(sample)
    }
}

/// What goes on from one chunk to the next: the tasks, and where in them the stream is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) tracks: Vec<Track>,
    // The task of the sample before, and its time.
    before: Option<(usize, u64)>,
}

impl Stream {
    pub(crate) fn reset(&mut self) {
        self.tracks.clear();
        self.before = None;
    }

    /// The task that most often follows.
    pub(crate) fn expected(&self) -> usize {
        self.before.map_or(0, |(number, _)| number + 1)
    }

    /// The time of the sample before, if it is of the same round as one of the task `number`.
    pub(crate) fn round(&self, number: usize) -> Option<u64> {
        self.before.filter(|&(before, _)| before < number).map(|(_, time)| time)
    }

    pub(crate) fn went_on(&mut self, number: usize, time: u64) {
        self.before = Some((number, time));
    }

    /// The next sample; none if what is there is none.
    pub(crate) fn get(&mut self, bytes: &mut Bytes<'_>) -> Option<Sample> {
        let number = usize::try_from(bytes.difference(self.expected() as u64)?).ok()?;
        if number == self.tracks.len() && number < MOST_TASKS {
            let pid = bytes.small()?;
            self.tracks.push(Track::new(Id { pid, start: bytes.number()? })?);
        }
        let before = self.round(number);
        let sample = self.tracks.get_mut(number)?.get(bytes, before)?;
        self.went_on(number, sample.time);
        Some(sample)
    }
}
