// SPDX-License-Identifier: GPL-2.0

//! The codec of the module, as a program.
//!
//! usage: codec fuzz ROUNDS [SEED]
//!        codec sizes BLOCK FILE...
//!
//! `fuzz` packs and unpacks histories without a pattern, and unpacks bytes that are none. `sizes` packs
//! the lines of each FILE, as the module shows them, into blocks of so many bytes, and tells what they take.

#[path = "../codec.rs"]
mod codec;

use codec::{Codec, Sample, LEAST, MOST, ROOM};
use std::collections::BTreeMap;
use std::{env, fs, process};

/// Numbers without a pattern: xorshift64.
struct Random(u64);

impl Random {
    fn any(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }

    fn any_size(&mut self) -> u64 {
        let shift = self.below(64);
        self.any() >> shift
    }

    /// A value behind `last`: often the same, or a little more or less, or a limit of what a form can hold.
    fn behind(&mut self, last: u64) -> u64 {
        let limit = 1u64 << self.below(64);
        let change = match self.below(10) {
            0..=3 => return last,
            4 => self.below(300),
            5 => limit,
            6 => limit - 1,
            7 => return self.any_size(),
            8 => return [0, 1, u64::MAX, 1 << 63][self.below(4) as usize],
            _ => self.any_size(),
        };
        match self.below(3) {
            0 => last.wrapping_sub(change),
            _ => last.wrapping_add(change),
        }
    }

    fn sample(&mut self, last: &Sample) -> Sample {
        let quiet = self.below(2) == 0;
        let late = 1 << self.below(24);
        let mut next = Sample {
            seq: last.seq.wrapping_add(1),
            time: last
                .time
                .wrapping_add(1_000_000)
                .wrapping_add(self.below(late)),
            ..last.copy()
        };
        if self.below(20) == 0 {
            // As different as can be, or of any size each.
            let any = |random: &mut Self| match random.below(2) {
                0 => random.any(),
                _ => random.any_size(),
            };
            next = Sample {
                seq: any(self),
                time: any(self),
                usr: any(self),
                sys: any(self),
                rss: any(self),
                minflt: any(self),
                majflt: any(self),
                mm_users: any(self) as u32,
                state: self.any() as u8,
            };
            return next;
        }
        if quiet {
            return next;
        }
        for field in 0..9 {
            if self.below(3) != 0 {
                continue;
            }
            match field {
                0 => next.seq = self.behind(next.seq),
                1 => next.time = self.behind(next.time),
                2 => next.usr = self.behind(next.usr),
                3 => next.sys = self.behind(next.sys),
                4 => next.rss = self.behind(next.rss),
                5 => next.minflt = self.behind(next.minflt),
                6 => next.majflt = self.behind(next.majflt),
                7 => next.mm_users = self.behind(next.mm_users.into()) as u32,
                _ => next.state = self.any() as u8,
            }
        }
        next
    }
}

/// Packs into blocks and unpacks again; returns how many samples there were.
fn round(random: &mut Random) -> Result<u64, String> {
    let size = 1 + random.below(1100) as usize;
    let mut room = vec![0xa5u8; size];
    let (mut packer, mut at) = (Codec::new(), 0);
    let mut samples = Vec::new();
    let mut last = Sample {
        state: b'S',
        ..Sample::default()
    };
    loop {
        let next = random.sample(&last);
        let before = *packer.last();
        let again = Sample {
            seq: before.seq.wrapping_add(1),
            time: next.time,
            ..before
        };
        let (mut bytes, mut few) = ([random.any() as u8; ROOM], [0; 4]);
        let mut len = 0;
        if next == again {
            let mut other = packer;
            len = other.pack_again(next.time, &mut few);
            if len == 0 && *other.last() != before {
                return Err("what did nothing did something".into());
            }
        }
        let needs = packer.pack(&next, &mut bytes);
        if !(LEAST..=MOST).contains(&needs) || *packer.last() != next {
            return Err(format!("{needs} bytes"));
        }
        if len != 0 && few[..len] != bytes[..needs] {
            return Err("not the same again".into());
        }
        len = needs;
        let Some(place) = room.get_mut(at..at + len) else {
            break;
        };
        place.copy_from_slice(&bytes[..len]);
        at += len;
        samples.push((next, at));
        last = next;
    }

    let (mut unpacker, mut from) = (Codec::new(), 0);
    for (sample, end) in &samples {
        // From what was published then, and from all of it.
        for bytes in [&room[from..*end], &room[from..at]] {
            let mut unpacker = unpacker;
            if unpacker.unpack(bytes) != Some(end - from) || unpacker.last() != sample {
                return Err(format!("{sample:?} became {:?}", unpacker.last()));
            }
        }
        let cut = from + random.below((end - from) as u64) as usize;
        let mut cut_off = unpacker;
        if cut_off.unpack(&room[from..cut]).is_some() || cut_off.last() != unpacker.last() {
            return Err(format!(
                "{} bytes of {} are a sample",
                cut - from,
                end - from
            ));
        }
        unpacker.unpack(&room[from..]);
        from = *end;
    }

    // Damaged in some places: any samples, to an end.
    for _ in 0..1 + random.below(20) {
        if at > 0 {
            room[random.below(at as u64) as usize] = random.any() as u8;
        }
    }
    let (mut unpacker, mut from, mut count) = (Codec::new(), 0, 0);
    while let Some(len) = unpacker.unpack(&room[from..at]) {
        if !(LEAST..=MOST).contains(&len) {
            return Err(format!("a sample of {len} bytes"));
        }
        from += len;
        count += 1;
    }
    if from > at || count > at / LEAST {
        return Err(format!("ended at {from} of {at}"));
    }
    Ok(samples.len() as u64)
}

fn fuzz(rounds: u64, seed: u64) -> Result<(), String> {
    let mut samples = 0;
    for number in seed..seed + rounds {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        samples += round(&mut random).map_err(|why| format!("codec fuzz 1 {number}: {why}"))?;
    }
    println!("{samples} samples in {rounds} rounds");
    Ok(())
}

/// The size of a page of the kernel that the lines come from: they show bytes, the module packs pages. It
/// is the largest power of two from 4 KiB to 64 KiB of which each `rss` is a multiple.
fn page_size(text: &str) -> u64 {
    let values = text.lines().filter_map(|line| {
        let rss = line.split(' ').skip_while(|word| *word != "rss").nth(1)?;
        rss.parse::<u64>().ok()
    });
    let bits = values.fold(0, |bits, rss| bits | rss);
    1 << bits.trailing_zeros().clamp(12, 16)
}

/// The samples of each task of lines.
fn histories(text: &str) -> Result<BTreeMap<(String, String), Vec<Sample>>, String> {
    let mut tasks: BTreeMap<_, Vec<Sample>> = BTreeMap::new();
    let page = page_size(text);
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let value = |key: &str| {
            let pair = words.chunks_exact(2).find(|pair| pair[0] == key);
            pair.map(|pair| pair[1])
                .ok_or(format!("no {key} in: {line}"))
        };
        let number = |key| {
            value(key)?
                .parse::<u64>()
                .map_err(|why| format!("{why}: {line}"))
        };
        let sample = Sample {
            seq: number("seq")?,
            time: number("time")?,
            usr: number("usr")?,
            sys: number("sys")?,
            rss: number("rss")? / page,
            minflt: number("minflt")?,
            majflt: number("majflt")?,
            mm_users: number("mm_users")? as u32,
            state: value("state")?.as_bytes()[0],
        };
        let task = (value("pid")?.to_string(), value("start")?.to_string());
        tasks.entry(task).or_default().push(sample);
    }
    Ok(tasks)
}

fn sizes(block: usize, files: &[String]) -> Result<(), String> {
    println!("file tasks samples bytes_a_sample idle_share short_3 short_4 bytes_of_fields");
    for file in files {
        let text = fs::read_to_string(file).map_err(|why| format!("{file}: {why}"))?;
        let tasks = histories(&text)?;
        let (mut samples, mut blocks) = (0usize, 0f64);
        let mut short = [0usize; 2];
        let (mut fields, mut field_bytes) = (0usize, 0usize);
        for history in tasks.values() {
            let (mut packer, mut at) = (Codec::new(), 0);
            for sample in history {
                let mut bytes = [0; ROOM];
                let mut next = packer;
                let mut len = next.pack(sample, &mut bytes);
                if at + len > block {
                    blocks += 1.0;
                    next = Codec::new();
                    at = 0;
                    len = next.pack(sample, &mut bytes);
                }
                packer = next;
                match bytes[0] & 3 {
                    3 => {
                        fields += 1;
                        field_bytes += len;
                    }
                    form => short[usize::from(form == 1)] += 1,
                }
                at += len;
                samples += 1;
            }
            // As far as the newest one is filled.
            blocks += at as f64 / block as f64;
        }
        let share = |count: usize| count as f64 / samples as f64;
        println!(
            "{file} {} {samples} {:.2} {:.3} {:.3} {:.3} {:.2}",
            tasks.len(),
            blocks * 1024.0 / samples as f64,
            share(samples - fields),
            share(short[0]),
            share(short[1]),
            field_bytes as f64 / fields.max(1) as f64,
        );
    }
    Ok(())
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<u64>().map_err(|why| format!("{word}: {why}"));
    let result = match words[..] {
        ["fuzz", rounds] => number(rounds).and_then(|rounds| fuzz(rounds, 1)),
        ["fuzz", rounds, seed] => number(rounds).and_then(|rounds| fuzz(rounds, number(seed)?)),
        ["sizes", block, _, ..] => {
            number(block).and_then(|block| sizes(block as usize, &arguments[2..]))
        }
        _ => Err("usage: codec fuzz ROUNDS [SEED]\n       codec sizes BLOCK FILE...".into()),
    };
    if let Err(why) = result {
        eprintln!("{why}");
        process::exit(1);
    }
}
