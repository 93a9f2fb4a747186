// SPDX-License-Identifier: GPL-2.0

//! How samples are packed: each by what is different from the one before.
//!
//! Pure functions over bytes, which need nothing but `core`: tests/codec.rs builds this file as a program,
//! too. docs/history.md has the format, and why it is as it is.
//!
//! The lowest bits of the first byte tell the form of a sample. All numbers are little endian; "late" is how
//! much later or earlier than expected it was taken, folded.
//!
//! - `0`: the sample before once more, at another time: 3 bytes, of which late has 23 bits.
//! - `01`: the same in 4 bytes, of which late has 30 bits.
//! - `011`: it has run. 4 bytes, of which how `time` grew has 28 bits, `usr` in 4 bytes and `sys` in 4 bytes, as
//!   they grew, and `state`. If bit 3 is set, too, 2 bytes more hold the change of `rss` (which may be negative),
//!   and 2 how `minflt` grew.
//! - `111`: all else. Two bytes tell which fields follow, and how many bytes each has:
//!
//! | bits | field | bytes |
//! | --- | --- | --- |
//! | 3 to 5 | late | 1 to 8 (one more than the number says) |
//! | 6 to 9 | `usr`, its growth | 0 to 8 |
//! | 10 to 13 | `sys`, its growth | 0 to 8 |
//! | 14 | a byte: `rss` in the lower four bits, its change, folded | 0 to 8 |
//! | | `minflt` in the upper ones, its growth | 0 to 8 |
//! | 15 | a byte: `seq` in the lower four bits, instants that were missed | 0 to 8 |
//! | | `majflt` in the upper ones, its growth | 0 to 8 |
//! | | a byte: `mm_users` in the lower four bits, its change, folded | 0 to 4 |
//! | | `state` in the upper ones | 0, 1 |
//!
//! Fields follow in this order, those bytes right before what they tell of. Differences are modulo 2^64, so
//! that every value comes back, whatever it was. Folded, 0, -1, 1, -2, ... are 0, 1, 2, 3, ...

use core::num::NonZeroU64;

#[cfg(CONFIG_KUNIT = "y")]
use kernel::prelude::*;

/// One sample: what was seen of a task at one instant. The README tells what users may rely on.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Number of the instant in this history.
    pub(crate) seq: u64,
    /// CLOCK_BOOTTIME, in nanoseconds.
    pub(crate) time: u64,
    /// User time, in nanoseconds.
    pub(crate) usr: u64,
    /// System time, in nanoseconds.
    pub(crate) sys: u64,
    /// Resident memory, in pages.
    pub(crate) rss: u64,
    /// Page faults without I/O.
    pub(crate) minflt: u64,
    /// Page faults with I/O.
    pub(crate) majflt: u64,
    /// Users of the address space.
    pub(crate) mm_users: u32,
    /// Letter of the state.
    pub(crate) state: u8,
}

impl Sample {
    /// Another one of the same. (Of one that is handed over as it is, the compiler makes a copy in memory also where it
    /// is not needed, on the way that most samples take.)
    #[inline(always)]
    pub(crate) fn copy(&self) -> Self {
        Self {
            seq: self.seq,
            time: self.time,
            usr: self.usr,
            sys: self.sys,
            rss: self.rss,
            minflt: self.minflt,
            majflt: self.majflt,
            mm_users: self.mm_users,
            state: self.state,
        }
    }
}

/// Fewest and most bytes of a sample.
pub(crate) const LEAST: usize = 3;
pub(crate) const MOST: usize = 66;

/// How much later than expected a sample may be in the short forms: so many bits.
const NEAR: u32 = 23;
const FAR: u32 = 30;

/// How much later than the one before a sample may be of a task that has run: so many bits.
const RAN: u32 = 28;

/// The form of one that has run, with or without a change of memory.
const HAS_RUN: u32 = 0b0011;
const IN_MEMORY: u32 = 0b1000;

/// The form that tells which fields follow, and what follows.
const FIELDS: u64 = 0b111;
const LATE: u32 = 3;
const USR: u32 = 6;
const SYS: u32 = 10;
const MEMORY: u64 = 1 << 14;
const REST: u64 = 1 << 15;

/// What a packed sample is different from; both who packs and who unpacks has one.
///
/// New, it is what the first sample of a block is packed with, which so stands alone.
#[derive(Clone, Copy)]
pub(crate) struct Codec {
    /// The sample before.
    last: Sample,
    /// How much later the next one is expected, if no instant is missed: in nanoseconds.
    step: u64,
}

/// Folds a change: small ones become small numbers, whatever their sign.
#[inline(always)]
fn fold(change: u64) -> u64 {
    // CAST: To types as wide; the sign spreads over all bits.
    change << 1 ^ (change as i64 >> 63) as u64
}

#[inline(always)]
fn unfold(folded: u64) -> u64 {
    folded >> 1 ^ (folded & 1).wrapping_neg()
}

/// The number of bytes of a value.
fn bytes_of(value: NonZeroU64) -> u64 {
    u64::from(value.ilog2() / 8) + 1
}

/// A sample that is different in its time alone, and in how many bytes.
#[inline(always)]
fn short(late: u64) -> (u32, usize) {
    // CAST: It has `FAR` bits at most.
    let late = late as u32;
    if late >> NEAR == 0 {
        (late << 1, 3)
    } else {
        (late << 2 | 1, 4)
    }
}

/// Room for any sample, and for a whole number at its end.
pub(crate) const ROOM: usize = 80;

/// Writes bytes to a place, of which there must be so many.
#[inline(always)]
fn write<const LEN: usize, const SIZE: usize>(room: &mut [u8; SIZE], at: usize, bytes: [u8; LEN]) {
    let place = room.get_mut(at..);
    if let Some(place) = place.and_then(|place| place.first_chunk_mut()) {
        *place = bytes;
    }
}

/// Bytes that are written from the beginning on.
struct Out<'a> {
    room: &'a mut [u8; ROOM],
    at: usize,
}

impl Out<'_> {
    /// Leaves a byte out, and returns its place.
    fn skip(&mut self) -> usize {
        let place = self.at;
        self.at = place.wrapping_add(1);
        place
    }

    /// Writes the lowest `len` bytes of `value`. (Behind them, what the next call writes over.)
    fn put(&mut self, value: u64, len: u64) {
        write(self.room, self.at, value.to_le_bytes());
        // CAST: 8 at most.
        self.at = self.at.wrapping_add(len as usize);
    }

    /// Writes a value, and returns in how many bytes: 0 in none.
    fn put_some(&mut self, value: u64) -> u64 {
        let len = match NonZeroU64::new(value) {
            Some(value) => bytes_of(value),
            None => return 0,
        };
        self.put(value, len);
        len
    }
}

/// Bytes that are read from the beginning on.
struct In<'a> {
    bytes: &'a [u8; ROOM],
    at: usize,
    /// None of them was meant if this is more than 8.
    longest: u64,
}

/// The lowest bytes of a number, by how many these are.
const LOWEST: [u64; 16] = {
    let (mut masks, mut len) = ([u64::MAX; 16], 0);
    while len < 8 {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

impl In<'_> {
    /// Reads a number of `len` bytes, 15 at most.
    #[inline(always)]
    fn take(&mut self, len: u64) -> u64 {
        // (Farther it comes only if a length is wrong.)
        let place = self.bytes.get(self.at.min(ROOM - 8)..);
        let word = place.and_then(|place| place.first_chunk());
        // CAST: To a type as wide.
        let mask = LOWEST.get(len as usize & 15);
        self.at = self.at.wrapping_add(len as usize);
        self.longest = self.longest.max(len);
        match (word, mask) {
            (Some(word), Some(mask)) => u64::from_le_bytes(*word) & mask,
            _ => 0,
        }
    }
}

impl Codec {
    /// At the beginning of a block.
    pub(crate) const fn new() -> Self {
        Self {
            last: Sample {
                // The instant before the first.
                seq: u64::MAX,
                time: 0,
                usr: 0,
                sys: 0,
                rss: 0,
                minflt: 0,
                majflt: 0,
                mm_users: 0,
                state: 0,
            },
            step: 0,
        }
    }

    /// The sample that was packed or unpacked last.
    #[inline]
    pub(crate) fn last(&self) -> &Sample {
        &self.last
    }

    /// How much later than expected a sample is.
    #[inline(always)]
    fn lateness(&self, missed: u64, time: u64) -> u64 {
        let mut expected = self.last.time.wrapping_add(self.step);
        if missed != 0 {
            expected = expected.wrapping_add(self.step.wrapping_mul(missed));
        }
        time.wrapping_sub(expected)
    }

    /// Goes on to the time of another sample. One that was far from expected tells, too, when the next one
    /// is.
    #[inline(always)]
    fn set_time(&mut self, missed: u64, time: u64, late: u64) {
        if late >> NEAR != 0 {
            let passed = time.wrapping_sub(self.last.time);
            let steps = missed.wrapping_add(1);
            self.step = passed.checked_div(steps).unwrap_or(passed);
        }
        self.last.time = time;
    }

    /// Packs the sample before once more, at another time. Returns the number of bytes; 0, and nothing is done,
    /// if it takes the other form.
    #[inline(always)]
    pub(crate) fn pack_again(&mut self, time: u64, room: &mut [u8; 4]) -> usize {
        let late = fold(self.lateness(0, time));
        if late >> FAR != 0 {
            return 0;
        }
        let (form, len) = short(late);
        *room = form.to_le_bytes();
        self.set_time(0, time, late);
        self.last.seq = self.last.seq.wrapping_add(1);
        len
    }

    /// Packs a sample. Returns the number of bytes; behind them, `room` holds nothing.
    pub(crate) fn pack(&mut self, sample: &Sample, room: &mut [u8; ROOM]) -> usize {
        match room.first_chunk_mut() {
            Some(room) => self.pack_ran(sample, room),
            None => None,
        }
        .unwrap_or_else(|| self.pack_any(sample, room))
    }

    /// Packs a sample of a task that has run since the one before. Returns the number of bytes; `None`, and
    /// nothing is done, if it takes another form.
    #[inline(always)]
    pub(crate) fn pack_ran(&mut self, sample: &Sample, room: &mut [u8; 17]) -> Option<usize> {
        let last = &mut self.last;
        let passed = sample.time.wrapping_sub(last.time);
        let usr = sample.usr.wrapping_sub(last.usr);
        let sys = sample.sys.wrapping_sub(last.sys);
        let rss = sample.rss.wrapping_sub(last.rss);
        let minflt = sample.minflt.wrapping_sub(last.minflt);
        let rest = sample.seq.wrapping_sub(last.seq).wrapping_sub(1)
            | sample.majflt ^ last.majflt
            | u64::from(sample.mm_users ^ last.mm_users);
        let large = (usr | sys) >> 32 | passed >> RAN | (rss.wrapping_add(1 << 15) | minflt) >> 16;
        if rest | large != 0 || usr | sys == 0 {
            return None;
        }

        // CAST: The upper bits of all of them are 0, as just seen, but for those of `rss`, which are its sign.
        let form = (passed as u32) << 4 | HAS_RUN;
        write(room, 4, (usr as u32).to_le_bytes());
        write(room, 8, (sys as u32).to_le_bytes());
        write(room, 12, [sample.state]);
        last.seq = sample.seq;
        last.time = sample.time;
        last.usr = sample.usr;
        last.sys = sample.sys;
        last.state = sample.state;
        if rss | minflt == 0 {
            write(room, 0, form.to_le_bytes());
            return Some(13);
        }
        write(room, 0, (form | IN_MEMORY).to_le_bytes());
        write(room, 13, (rss as u16).to_le_bytes());
        write(room, 15, (minflt as u16).to_le_bytes());
        last.rss = sample.rss;
        last.minflt = sample.minflt;
        Some(17)
    }

    /// As [`Self::pack`], in any of the other forms.
    #[inline(never)]
    fn pack_any(&mut self, sample: &Sample, room: &mut [u8; ROOM]) -> usize {
        let last = self.last;
        let missed = sample.seq.wrapping_sub(last.seq).wrapping_sub(1);
        let late = fold(self.lateness(missed, sample.time));
        self.set_time(missed, sample.time, late);
        self.last = *sample;
        let again = Sample {
            seq: last.seq.wrapping_add(1),
            time: sample.time,
            ..last
        };
        if *sample == again && late >> FAR == 0 {
            let (form, len) = short(late);
            write(room, 0, form.to_le_bytes());
            return len;
        }

        let mut out = Out { room, at: 2 };
        // One byte at least.
        let len = bytes_of(NonZeroU64::MIN | late);
        let mut form = FIELDS | len.wrapping_sub(1) << LATE;
        out.put(late, len);
        form |= out.put_some(sample.usr.wrapping_sub(last.usr)) << USR;
        form |= out.put_some(sample.sys.wrapping_sub(last.sys)) << SYS;
        let rss = fold(sample.rss.wrapping_sub(last.rss));
        let minflt = sample.minflt.wrapping_sub(last.minflt);
        if rss | minflt != 0 {
            form |= MEMORY;
            let place = out.skip();
            let lens = out.put_some(rss) | out.put_some(minflt) << 4;
            // CAST: Twice four bits.
            write(out.room, place, [lens as u8]);
        }
        let majflt = sample.majflt.wrapping_sub(last.majflt);
        // CAST: To a type as wide, then one that is wider: the sign goes with it.
        let users = sample.mm_users.wrapping_sub(last.mm_users) as i32 as u64;
        let state = sample.state ^ last.state;
        if missed | majflt | users | u64::from(state) != 0 {
            form |= REST;
            let (place, _) = (out.skip(), out.skip());
            let lens = out.put_some(missed) | out.put_some(majflt) << 4;
            let more = out.put_some(fold(users)) | u64::from(state != 0) << 4;
            // CAST: Twice four bits each.
            write(out.room, place, [lens as u8, more as u8]);
            if state != 0 {
                out.put(sample.state.into(), 1);
            }
        }
        // CAST: It has 16 bits.
        write(out.room, 0, (form as u16).to_le_bytes());
        out.at
    }

    /// Unpacks the sample at the beginning of `bytes`. Returns the number of bytes that it takes; `None`,
    /// and nothing is done, if they end before it does, or if they are none.
    #[inline(always)]
    pub(crate) fn unpack(&mut self, bytes: &[u8]) -> Option<usize> {
        let word = match bytes.first_chunk() {
            Some(four) => u32::from_le_bytes(*four),
            None => {
                let [first, second, third] = *bytes.first_chunk()?;
                u32::from_le_bytes([first, second, third, 0])
            }
        };
        let (late, len) = match word & 3 {
            0 | 2 => ((word & 0xff_ffff) >> 1, 3),
            1 => (word >> 2, 4),
            _ => return self.unpack_changed(bytes),
        };
        if len > bytes.len() {
            return None;
        }
        self.set_time(0, self.time(0, late.into()), late.into());
        self.last.seq = self.last.seq.wrapping_add(1);
        Some(len)
    }

    /// As [`Self::unpack`], of a sample in another form.
    #[inline(never)]
    fn unpack_changed(&mut self, bytes: &[u8]) -> Option<usize> {
        if let Some(bytes) = bytes.first_chunk() {
            return self.take(bytes, ROOM);
        }
        let mut room = [0; ROOM];
        room.get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.take(&room, bytes.len())
    }

    /// Of these bytes, `len` are there.
    #[inline(always)]
    fn take(&mut self, bytes: &[u8; ROOM], len: usize) -> Option<usize> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, ..] = *bytes;
        let word = u32::from_le_bytes([a, b, c, d]);
        if word & 7 != HAS_RUN {
            return self.take_fields(bytes, len);
        }
        let needs = if word & IN_MEMORY == 0 { 13 } else { 17 };
        if needs > len {
            return None;
        }
        let last = &mut self.last;
        last.seq = last.seq.wrapping_add(1);
        last.time = last.time.wrapping_add((word >> 4).into());
        let usr = u32::from_le_bytes([e, f, g, h]);
        last.usr = last.usr.wrapping_add(usr.into());
        let sys = u32::from_le_bytes([i, j, k, l]);
        last.sys = last.sys.wrapping_add(sys.into());
        last.state = m;
        if word & IN_MEMORY != 0 {
            let rss = i16::from_le_bytes([n, o]);
            // CAST: To a type that is wider: the sign goes with it.
            last.rss = last.rss.wrapping_add(rss as u64);
            let minflt = u16::from_le_bytes([p, q]);
            last.minflt = last.minflt.wrapping_add(minflt.into());
        }
        Some(needs)
    }

    /// As [`Self::take`], of a sample that tells which fields follow.
    #[inline(always)]
    fn take_fields(&mut self, bytes: &[u8; ROOM], len: usize) -> Option<usize> {
        let mut input = In {
            bytes,
            at: 0,
            longest: 0,
        };
        let form = input.take(2);
        let late = input.take((form >> LATE & 7).wrapping_add(1));
        let mut last = self.last;
        last.usr = last.usr.wrapping_add(input.take(form >> USR & 15));
        last.sys = last.sys.wrapping_add(input.take(form >> SYS & 15));
        if form & MEMORY != 0 {
            let lens = input.take(1);
            let rss = unfold(input.take(lens & 15));
            last.rss = last.rss.wrapping_add(rss);
            last.minflt = last.minflt.wrapping_add(input.take(lens >> 4));
        }
        let mut missed = 0;
        if form & REST != 0 {
            let lens = input.take(2);
            missed = input.take(lens & 15);
            last.majflt = last.majflt.wrapping_add(input.take(lens >> 4 & 15));
            // This one has 4 bytes at most.
            let len = lens >> 8 & 15;
            input.longest = input.longest.max(len.wrapping_add(4));
            // CAST: Modulo 2^32, as there are no more.
            let users = unfold(input.take(len)) as u32;
            last.mm_users = last.mm_users.wrapping_add(users);
            if lens >> 12 != 0 {
                // CAST: One byte.
                last.state = input.take(1) as u8;
            }
        }
        if input.longest > 8 || input.at > len {
            return None;
        }
        last.seq = last.seq.wrapping_add(missed).wrapping_add(1);
        let time = self.time(missed, late);
        self.set_time(missed, time, late);
        last.time = time;
        self.last = last;
        Some(input.at)
    }

    /// The time of a sample that is so late.
    #[inline(always)]
    fn time(&self, missed: u64, late: u64) -> u64 {
        unfold(late).wrapping_sub(self.lateness(missed, 0))
    }
}

// (In a program there is no KUnit: tests/codec.rs looks for more than these do.)
#[cfg(CONFIG_KUNIT = "y")]
#[kunit_tests(taskmonitor_codec)]
mod tests {
    use super::*;

    use crate::testing::{
        extreme,
        Random, //
    };

    /// A sample of a task that sleeps.
    fn sleeping(seq: u64, time: u64) -> Sample {
        Sample {
            seq,
            time,
            usr: 4_000_000,
            rss: 256,
            minflt: 120,
            mm_users: 1,
            state: b'S',
            ..Sample::default()
        }
    }

    /// Packs samples, unpacks them again, and returns how many bytes each took; none if they changed.
    fn lens(samples: &[Sample]) -> Result<KVec<usize>> {
        let (mut codec, mut bytes, mut lens) = (Codec::new(), KVec::new(), KVec::new());
        for sample in samples {
            let mut room = [0; ROOM];
            let len = codec.pack(sample, &mut room);
            bytes.extend_from_slice(&room[..len], GFP_KERNEL)?;
            lens.push(len, GFP_KERNEL)?;
        }
        let (mut codec, mut from) = (Codec::new(), 0);
        for (sample, len) in samples.iter().zip(&lens) {
            if codec.unpack(&bytes[from..]) != Some(*len) || codec.last() != sample {
                return Ok(KVec::new());
            }
            from += len;
        }
        Ok(lens)
    }

    #[test]
    fn a_sleeper_takes_3_bytes() -> Result {
        let lens = lens(&[
            sleeping(0, 5_000_000_000),
            // This one tells the period.
            sleeping(1, 6_000_000_000),
            sleeping(2, 7_000_000_000),
            // 4.1 ms late and early.
            sleeping(3, 8_004_100_000),
            sleeping(4, 9_000_000_000),
            // 4.2 ms late; the next one is expected as much later.
            sleeping(5, 10_004_200_000),
            sleeping(6, 11_008_400_000),
        ])?;
        assert_eq!(lens[1..], [7, 3, 3, 3, 4, 3]);
        assert!(lens[0] > 3);
        Ok(())
    }

    #[test]
    fn a_period_is_learnt_across_gaps() -> Result {
        let samples = [0, 2, 4, 7, 8].map(|seq| sleeping(seq, 5_000_000_000 + seq * 1_000_000_000));
        let lens = lens(&samples)?;
        // That an instant was missed takes three bytes more.
        assert_eq!(lens[2..], [6, 6, 3]);
        Ok(())
    }

    #[test]
    fn what_changed_takes_its_bytes() -> Result {
        let first = sleeping(0, 5_000_000_000);
        let second = sleeping(1, 5_100_000_000);
        let third = sleeping(2, 5_200_000_000);
        for (third, bytes) in [
            (
                Sample {
                    usr: third.usr + 1,
                    ..third
                },
                13,
            ),
            (
                Sample {
                    sys: 5_000_000,
                    state: b'R',
                    ..third
                },
                13,
            ),
            (
                Sample {
                    usr: third.usr + 1,
                    rss: 255,
                    ..third
                },
                17,
            ),
            (
                Sample {
                    sys: 5_000_000,
                    minflt: 120 + 65_535,
                    ..third
                },
                17,
            ),
            // It has not run, or has changed more.
            (
                Sample {
                    state: b'T',
                    ..third
                },
                6,
            ),
            (Sample { rss: 255, ..third }, 5),
            (
                Sample {
                    minflt: 376,
                    ..third
                },
                6,
            ),
            (Sample { majflt: 1, ..third }, 6),
            (
                Sample {
                    mm_users: 2,
                    ..third
                },
                6,
            ),
            (
                Sample {
                    seq: 4,
                    time: 5_400_000_000,
                    ..third
                },
                6,
            ),
            (
                Sample {
                    sys: 1,
                    minflt: 120 + 65_536,
                    ..third
                },
                8,
            ),
            (
                Sample {
                    sys: 1 << 32,
                    ..third
                },
                8,
            ),
            // Backwards.
            (
                Sample {
                    usr: third.usr - 1,
                    ..third
                },
                11,
            ),
        ] {
            assert_eq!(lens(&[first, second, third])?[2..], [bytes]);
        }
        Ok(())
    }

    #[test]
    fn every_value_comes_back() -> Result {
        let mut random = Random::new();
        let mut samples = KVec::new();
        for _ in 0..2000 {
            let sample = match random.below(4) {
                0 => extreme(),
                1 => Sample::default(),
                _ => Sample {
                    seq: random.any_size(),
                    time: random.any_size(),
                    usr: random.any_size(),
                    sys: random.any_size(),
                    rss: random.any_size(),
                    minflt: random.any_size(),
                    majflt: random.any_size(),
                    // CAST: The lower bits.
                    mm_users: random.any_size() as u32,
                    state: random.any() as u8,
                },
            };
            samples.push(sample, GFP_KERNEL)?;
        }
        let lens = lens(&samples)?;
        assert_eq!(lens.len(), 2000);
        assert!(lens.iter().all(|len| (LEAST..=MOST).contains(len)));
        Ok(())
    }

    #[test]
    fn again_is_the_same() -> Result {
        let mut random = Random::new();
        let (mut codec, mut other) = (Codec::new(), Codec::new());
        let (mut room, mut small) = ([0; ROOM], [0; 4]);
        let mut time = 5_000_000_000;
        codec.pack(&sleeping(0, time), &mut room);
        other.pack(&sleeping(0, time), &mut room);
        for seq in 1..1000 {
            time += 1_000_000_000 + (random.any_size() >> 32);
            let len = codec.pack(&sleeping(seq, time), &mut room);
            let again = other.pack_again(time, &mut small);
            if again == 0 {
                assert!(len > 4);
                other.pack(&sleeping(seq, time), &mut room);
            } else {
                assert_eq!((again, &small[..again]), (len, &room[..len]));
            }
            assert!(*codec.last() == *other.last());
        }
        Ok(())
    }

    #[test]
    fn bytes_that_end_early_are_no_sample() {
        let mut bytes = [0; ROOM];
        let needs = Codec::new().pack(&extreme(), &mut bytes);
        for end in 0..needs {
            let mut codec = Codec::new();
            assert!(codec.unpack(&bytes[..end]).is_none());
            assert!(*codec.last() == *Codec::new().last());
        }
    }

    #[test]
    fn damaged_bytes_end() {
        let mut random = Random::new();
        let mut bytes = [0; 512];
        for _ in 0..1000 {
            // CAST: The lower bits.
            bytes.fill_with(|| random.any() as u8);
            let (mut codec, mut at) = (Codec::new(), 0);
            while let Some(len) = codec.unpack(&bytes[at..]) {
                assert!((LEAST..=MOST).contains(&len));
                at += len;
            }
            assert!(at <= bytes.len());
        }
    }
}
