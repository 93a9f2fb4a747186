// SPDX-License-Identifier: GPL-2.0-only

//! What there is to draw: points as they come, gathered in bounded memory. Nothing here knows how it is drawn.

use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;
use taskmonitor::Id;
use taskmonitor::Sample;

use super::text;
use crate::output::grouped;
use crate::output::many;
use crate::rate::Point;
use crate::reduce::Past;
use crate::reduce::Span;
use crate::threads::Processes;
use crate::times::Clock;

/// The most tasks, or sums of them, that have a place of their own: more are hard to tell from each other.
pub const PLACES: usize = 8;
/// The most tasks whose past is kept while it is not known who will have a place.
const KEPT: usize = 64;

/// A task, or the sum of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    pub name: String,
    /// None: that of several.
    pub pid: Option<u32>,
    pub spans: Vec<Span>,
    /// CLOCK_BOOTTIME of its last sample, if it has exited.
    pub exited: Option<u64>,
    /// All spans in one.
    pub whole: Span,
}

impl Track {
    fn new(name: String, pid: Option<u32>, spans: Vec<Span>, exited: Option<u64>) -> Option<Self> {
        let name = if name.trim().is_empty() { "(no name)".to_owned() } else { name };
        let mut whole = *spans.first()?;
        spans.iter().skip(1).for_each(|span| whole.join(span));
        Some(Self { name, pid, spans, exited, whole })
    }

    /// The name, and the PID, if that is of one task.
    pub fn full_name(&self) -> String {
        match self.pid {
            Some(pid) => format!("{}, PID {pid}", self.name),
            None => self.name.clone(),
        }
    }

    /// Mean CPU usage, in percent of a processor.
    pub fn mean(&self) -> Option<f64> {
        self.whole.mean().map(|(usr, sys)| usr + sys)
    }

    /// The highest CPU usage between two samples.
    pub fn peak(&self) -> Option<f64> {
        self.whole.cpu.map(|(_, high)| f64::from(high))
    }

    /// The most resident memory, in words. The last sample of a task that has exited knows nothing of it.
    pub fn memory(&self) -> String {
        match self.whole.rss.1 {
            0 if self.exited.is_some() && self.whole.samples == 1 => "unknown".to_owned(),
            most => text::memory(most),
        }
    }

    /// Whether neighbouring samples have become one somewhere.
    pub fn reduced(&self) -> bool {
        self.spans.iter().any(|span| span.samples > 1)
    }
}

/// The time in which nothing is known of a task, between two spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub since: u64,
    pub until: u64,
    /// How many samples are missing; none where that is not known exactly.
    pub lost: Option<u64>,
}

/// What lies between two neighbours, if it is anything.
pub fn gap(before: &Span, after: &Span) -> Option<Gap> {
    // (What is joined says how many are missing in all of it.)
    let lost = (after.samples == 1).then_some(after.lost);
    (before.until < after.since).then_some(Gap { since: before.until, until: after.since, lost })
}

/// What can be drawn.
#[derive(Clone, Debug)]
pub struct Figure {
    pub title: String,
    /// What it is, where the title does not say that; how long, of how many samples.
    pub facts: Vec<String>,
    pub clock: Clock,
    /// CLOCK_BOOTTIME of the beginning and of the end; the latter is later.
    pub since: u64,
    pub until: u64,
    pub tracks: Vec<Track>,
    /// All tasks together, for page faults.
    pub total: Vec<Span>,
}

/// What a clock may be set by that nobody need know of who looks at a picture.
const NOTABLE: u64 = 100_000_000;

/// What one has used, to choose who gets a place.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu: u64,
    rss: u64,
}

/// One whose past is kept.
struct Task {
    id: Id,
    name: Option<String>,
    past: Past,
    rss: u64,
    exited: Option<u64>,
    // Whether it is a thread of another task: no sum has it.
    part: bool,
}

/// Takes points as they come, and gives a figure at the end. Memory: the past of at most 64 tasks, in so many spans as are
/// asked for, and 40 bytes for each task that there is.
pub struct Picture {
    clock: Clock,
    title: Option<String>,
    // In how many spans.
    fine: usize,
    // Those that get a place, if that has been found out.
    chosen: Option<FxHashSet<Id>>,
    tasks: Vec<Task>,
    places: FxHashMap<Id, usize>,
    used: FxHashMap<Id, Used>,
    // The processes of threads, and the threads that no sum has.
    processes: Processes,
    parts: FxHashSet<Id>,
    // The sum of those whose past is not kept.
    others: Sum,
    total: Sum,
    samples: u64,
    lost: u64,
    faults: (u64, u64),
    ends: Option<(u64, u64)>,
}

impl Picture {
    /// One that is `fine` spans wide.
    pub fn new(clock: Clock, title: Option<String>, fine: usize) -> Self {
        Self {
            clock,
            title: title.map(|title| text::clean(&title)),
            fine,
            chosen: None,
            tasks: Vec::new(),
            places: FxHashMap::default(),
            used: FxHashMap::default(),
            processes: Processes::default(),
            parts: FxHashSet::default(),
            others: Sum::new(fine),
            total: Sum::new(fine),
            samples: 0,
            lost: 0,
            faults: (0, 0),
            ends: None,
        }
    }

    /// Takes times by `clock` from now on.
    pub fn by_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Takes the next point of a task, and its name.
    pub fn push(&mut self, point: &Point, name: Option<&str>) {
        self.push_part(point, name, None);
    }

    /// Takes the next point of a task, its name, and, if it is a thread, the PID of its process. What a thread did adds nothing to a
    /// sum while its process is there, too: it is part of what the process did.
    pub fn push_part(&mut self, point: &Point, name: Option<&str>, process: Option<u32>) {
        let Sample { time, rss, .. } = point.sample;
        let span = Span::of(point);
        let id = point.sample.id();
        match process {
            Some(pid) => {
                if self.processes.want(pid) {
                    self.used.keys().for_each(|&id| self.processes.saw(id, None));
                }
            }
            None => self.processes.saw(id, point.sample.state.exited().then_some(time)),
        }
        let part = self.processes.of(id, process).is_some();
        if part {
            self.parts.insert(id);
        }
        self.samples += 1;
        self.lost = self.lost.saturating_add(point.lost);
        let (since, until) = self.ends.unwrap_or((u64::MAX, 0));
        self.ends = Some((since.min(span.since), until.max(span.until)));
        if !part {
            self.faults.0 = self.faults.0.saturating_add(span.minflt);
            self.faults.1 = self.faults.1.saturating_add(span.majflt);
            self.total.add(&span);
        }
        let used = self.used.entry(id).or_default();
        used.cpu = used.cpu.saturating_add(span.usr).saturating_add(span.sys);
        used.rss = used.rss.max(rss);
        let place = match self.places.get(&id) {
            Some(&place) => place,
            None if self.chosen.as_ref().map_or(self.tasks.len() < KEPT, |chosen| chosen.contains(&id)) => {
                self.places.insert(id, self.tasks.len());
                self.tasks.push(Task { id, name: None, past: Past::new(self.fine), rss, exited: None, part: false });
                self.tasks.len() - 1
            }
            None => {
                if !part {
                    self.others.add(&span);
                }
                return;
            }
        };
        let Some(task) = self.tasks.get_mut(place) else { return };
        task.part |= part;
        if let Some(name) = name {
            if task.name.as_deref() != Some(name) {
                task.name = Some(name.to_owned());
            }
        }
        let mut point = *point;
        if point.sample.mm_users == 0 && point.sample.rss == 0 {
            // The address space has gone, with the task: the memory did not shrink before.
            point.sample.rss = task.rss;
        }
        task.rss = point.sample.rss;
        if point.sample.state.exited() {
            task.exited = Some(time);
        }
        task.past.push(&point);
    }

    /// If there have been more tasks than are kept: the same anew, and empty, that knows who gets a place. It wants all points
    /// once more.
    pub fn again(&self) -> Option<Self> {
        (self.chosen.is_none() && self.used.len() > KEPT).then(|| Self {
            chosen: Some(self.heaviest(PLACES - 1).into_iter().collect()),
            ..Self::new(self.clock.clone(), self.title.clone(), self.fine)
        })
    }

    /// The `most` tasks with the largest shares of all CPU time, or of all memory.
    fn heaviest(&self, most: usize) -> Vec<Id> {
        let all =
            self.used.values().fold((1.0, 1.0), |(cpu, rss), used| (cpu + used.cpu as f64, rss + used.rss as f64));
        let share = |used: &Used| (used.cpu as f64 / all.0).max(used.rss as f64 / all.1);
        let mut tasks: Vec<(f64, Id)> = self.used.iter().map(|(id, used)| (share(used), *id)).collect();
        tasks.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        tasks.into_iter().take(most).map(|(_, id)| id).collect()
    }

    /// What there is to draw, if there is anything.
    pub fn finish(mut self) -> Option<Figure> {
        let (since, until) = self.ends?;
        let count = self.used.len();
        let own = if count > PLACES { PLACES - 1 } else { PLACES };
        let placed: FxHashSet<Id> = self.heaviest(own).into_iter().collect();
        let mut tracks = Vec::new();
        let mut others = self.others;
        for task in self.tasks {
            if placed.contains(&task.id) {
                let name = task.name.as_deref().map_or_else(String::new, text::clean);
                tracks.extend(Track::new(name, Some(task.id.pid), task.past.spans().to_vec(), task.exited));
            } else if !task.part {
                task.past.spans().iter().for_each(|span| others.add(span));
            }
        }
        // Those with the most CPU time first.
        tracks.sort_by_key(|track| std::cmp::Reverse(track.whole.usr.saturating_add(track.whole.sys)));
        let shown = tracks.len();
        let hidden = self.parts.iter().filter(|&id| !placed.contains(id)).count();
        let left = count.saturating_sub(shown).saturating_sub(hidden);
        if left > 0 {
            let mut spans = others.spans();
            if spans.is_empty() {
                // Each of an instant only: no usage, but memory.
                let summed = |id: &Id| !placed.contains(id) && !self.parts.contains(id);
                let rss = self.used.iter().filter(|(id, _)| summed(id)).map(|(_, used)| used.rss);
                spans.push(instant(until, rss.fold(0, u64::saturating_add)));
            }
            let name = many(left as u64, "other");
            tracks.extend(Track::new(name, None, spans, None));
        }
        let title = match (tracks.as_slice(), left) {
            ([track], _) => track.full_name(),
            (tracks, 0) => format!("{} tasks", tracks.len()),
            _ => format!("{} tasks: the {} largest, and the sum of the others", grouped(count as u64), shown),
        };
        let samples = many(self.samples, "sample");
        let samples = match self.lost {
            0 => samples,
            lost => format!("{samples}, {} missing", grouped(lost)),
        };
        let faults = format!("{} minor, {} major page faults", grouped(self.faults.0), grouped(self.faults.1));
        let mut facts = vec![samples, faults];
        if !self.parts.is_empty() {
            facts.push(crate::threads::remark(self.parts.len() as u64));
        }
        if since < until {
            facts.insert(0, text::duration(until - since));
        }
        // One axis has one clock: that of the beginning.
        let set = self.clock.set_by(since, until);
        if set.unsigned_abs() >= NOTABLE {
            let (forward, by) = (if set > 0 { "+" } else { "-" }, text::duration(set.unsigned_abs()));
            facts.push(format!("the clock was set by {forward}{by} meanwhile, times are by the one before"));
        }
        let title = match self.title.take() {
            Some(given) => {
                facts.insert(0, title);
                given
            }
            None => title,
        };
        // A single instant is given some width.
        let room = if since == until { 500_000_000 } else { 0 };
        Some(Figure {
            title,
            facts,
            clock: self.clock.frozen(since),
            since: since.saturating_sub(room),
            until: until.saturating_add(room).max(1),
            tracks,
            total: self.total.spans(),
        })
    }
}

/// Of many, at one instant.
fn instant(time: u64, rss: u64) -> Span {
    Span {
        since: time,
        until: time,
        elapsed: 0,
        usr: 0,
        sys: 0,
        cpu: None,
        rss: (rss, rss),
        minflt: 0,
        majflt: 0,
        samples: 1,
        lost: 0,
        last_rss: rss,
        state: taskmonitor::State::EXITED,
    }
}

/// What happened in a span of time, of however many tasks. (What is a part of a nanosecond or of a fault counts.)
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    usr: f64,
    sys: f64,
    minflt: f64,
    majflt: f64,
    // Bytes, times nanoseconds.
    rss: f64,
    // How much time is known, summed up over the tasks.
    known: f64,
    lost: u64,
}

impl Bin {
    fn add(&mut self, other: &Self) {
        self.usr += other.usr;
        self.sys += other.sys;
        self.minflt += other.minflt;
        self.majflt += other.majflt;
        self.rss += other.rss;
        self.known += other.known;
        self.lost = self.lost.saturating_add(other.lost);
    }
}

/// Many tasks together, in a bounded number of spans of equal length. Unlike a [`Past`], it has no extremes: those of the sum
/// are not the sum of those.
#[derive(Clone, Debug)]
struct Sum {
    most: u64,
    // Bins are multiples of 2^shift nanoseconds; the first is multiple number `first`.
    shift: u32,
    first: u64,
    bins: Vec<Bin>,
    // From when to when anything is known.
    ends: (u64, u64),
}

impl Sum {
    fn new(most: usize) -> Self {
        Self { most: most.max(2) as u64, shift: 0, first: 0, bins: Vec::new(), ends: (u64::MAX, 0) }
    }

    /// Spreads `span` over the time in which it was.
    fn add(&mut self, span: &Span) {
        let &Span { since, until, .. } = span;
        self.ends = (self.ends.0.min(since), self.ends.1.max(until));
        while (self.ends.1 >> self.shift) - (self.ends.0 >> self.shift) >= self.most {
            self.widen();
        }
        let (first, last) = (self.ends.0 >> self.shift, self.ends.1 >> self.shift);
        if self.bins.is_empty() {
            self.first = first;
        }
        let missing = self.first.saturating_sub(first) as usize;
        self.bins.splice(0..0, std::iter::repeat_n(Bin::default(), missing));
        self.first = first;
        self.bins.resize((last - first + 1) as usize, Bin::default());
        let length = (until - since) as f64;
        let all = Bin {
            usr: span.usr as f64,
            sys: span.sys as f64,
            minflt: span.minflt as f64,
            majflt: span.majflt as f64,
            rss: (span.rss.0 as f64 + span.rss.1 as f64) / 2.0 * length,
            known: length,
            lost: 0,
        };
        for number in (since >> self.shift)..=(until >> self.shift) {
            let begin = (number << self.shift).max(since);
            let end = (((number << self.shift) | ((1 << self.shift) - 1)).saturating_add(1)).min(until);
            let part = if length > 0.0 { (end - begin) as f64 / length } else { 0.0 };
            if let Some(bin) = self.bins.get_mut((number - first) as usize) {
                bin.add(&Bin {
                    usr: part * all.usr,
                    sys: part * all.sys,
                    minflt: part * all.minflt,
                    majflt: part * all.majflt,
                    rss: part * all.rss,
                    known: part * all.known,
                    lost: if end == until { span.lost } else { 0 },
                });
            }
        }
    }

    fn widen(&mut self) {
        self.shift += 1;
        let (old, first) = (self.first, self.first >> 1);
        let mut bins: Vec<Bin> = Vec::new();
        for (i, bin) in (0..).zip(&self.bins) {
            let number: u64 = old + i;
            match bins.get_mut(((number >> 1) - first) as usize) {
                Some(wider) => wider.add(bin),
                None => bins.push(*bin),
            }
        }
        (self.first, self.bins) = (first, bins);
    }

    /// Those in which anything is known. What they have is the mean.
    fn spans(&self) -> Vec<Span> {
        let begin = |number: u64| number << self.shift;
        let mut spans: Vec<(u64, u64, Bin)> = (0..)
            .zip(&self.bins)
            .map(|(i, bin)| {
                let number: u64 = self.first + i;
                let end = (begin(number) | ((1 << self.shift) - 1)).saturating_add(1);
                (begin(number).max(self.ends.0), end.min(self.ends.1), *bin)
            })
            .filter(|(_, _, bin)| bin.known > 0.0)
            .collect();
        // The first and the last may be short, and of a time in which not all have begun, or some are done: they are their
        // neighbours'.
        let short = |(since, until, _): &(u64, u64, Bin)| until - since < (1_u64 << self.shift) / 2;
        if spans.len() > 2 && spans.first().is_some_and(short) {
            let (since, _, bin) = spans.remove(0);
            for span in spans.iter_mut().take(1) {
                span.0 = since;
                span.2.add(&bin);
            }
        }
        if spans.len() > 2 && spans.last().is_some_and(short) {
            if let Some(((_, until, bin), span)) = spans.pop().zip(spans.last_mut()) {
                span.1 = until;
                span.2.add(&bin);
            }
        }
        let spans = spans.into_iter().map(|(since, until, bin)| {
            let length = (until - since).max(1);
            let rss = (bin.rss / length as f64).round() as u64;
            let cpu = (100.0 * (bin.usr + bin.sys) / length as f64) as f32;
            Span {
                since,
                elapsed: length,
                usr: bin.usr.round() as u64,
                sys: bin.sys.round() as u64,
                cpu: Some((cpu, cpu)),
                minflt: bin.minflt.round() as u64,
                majflt: bin.majflt.round() as u64,
                lost: bin.lost,
                ..instant(until, rss)
            }
        });
        spans.collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(since: u64, until: u64, usr: u64, rss: u64) -> Span {
        Span {
            since,
            until,
            elapsed: until - since,
            usr,
            sys: 0,
            cpu: None,
            rss: (rss, rss),
            minflt: usr / 10,
            majflt: 0,
            samples: 1,
            lost: 0,
            last_rss: rss,
            state: taskmonitor::State::EXITED,
        }
    }

    #[test]
    fn a_sum_is_the_mean_over_time() {
        let mut sum = Sum::new(4);
        sum.add(&span(0, 64, 64, 100));
        sum.add(&span(0, 32, 16, 50));
        let spans = sum.spans();
        assert_eq!(spans.iter().map(|s| (s.since, s.until)).collect::<Vec<_>>(), [(0, 32), (32, 64)]);
        assert_eq!(spans.iter().map(|s| (s.usr, s.rss.0)).collect::<Vec<_>>(), [(48, 150), (32, 100)]);
        assert_eq!(spans[0].cpu, Some((150.0, 150.0)));
    }

    #[test]
    fn a_thread_of_a_process_adds_nothing_to_a_sum() {
        use crate::rate::Series;
        // Task 1 has the threads 2 to 12, all of which have used the same; 13 to 15 are other processes.
        let draw = |threads: bool| {
            let (mut picture, mut series) =
                (Picture::new(Clock::new(Some(0)).unwrap(), None, 100), Series::new(None));
            for seq in 0..3_u64 {
                for pid in (1..=15_u32).filter(|pid| threads || !(2..=12).contains(pid)) {
                    let used = if (2..=12).contains(&pid) { 10 * seq } else { 100 * seq };
                    let line = format!(
                        "pid {pid} usr {used} sys 0 time {} rss 4096 minflt {used} majflt 0 mm_users 1 state S seq {seq} start 9",
                        1000 * (seq + 1)
                    );
                    let process = (2..=12).contains(&pid).then_some(1);
                    series.push(Sample::parse(line.as_bytes()).unwrap(), |point| {
                        picture.push_part(&point, None, process);
                    });
                }
            }
            assert!(picture.again().is_none());
            picture.finish().unwrap()
        };
        let (with, without) = (draw(true), draw(false));
        assert_eq!(with.total, without.total);
        assert!(with.facts.contains(&"800 minor, 0 major page faults".to_owned()), "{:?}", with.facts);
        assert!(with.facts.contains(&"11 threads are counted as part of their processes".to_owned()));
        // Nothing is left for a sum of others but threads.
        assert!(with.tracks.iter().all(|track| track.pid.is_some()), "{:?}", with.tracks);
    }

    #[test]
    fn a_sum_at_the_end_of_time() {
        let end = u64::MAX;
        let mut sum = Sum::new(2);
        sum.add(&span(end, end, 0, 7));
        sum.add(&span(end - 64, end, 64, 100));
        sum.add(&span(0, 64, 64, 100));
        assert_eq!(sum.spans().iter().map(|s| s.usr).collect::<Vec<_>>(), [64, 64]);
    }

    proptest! {
        #[test]
        fn a_sum_loses_nothing(
            spans in prop::collection::vec((0..u64::MAX >> 8, 0..1_000_000_u64, 0..1_000_000_u64), 1..50),
            most in 2..40_usize,
        ) {
            let mut sum = Sum::new(most);
            let mut all = 0;
            for &(since, length, usr) in &spans {
                sum.add(&span(since, since + length + 1, usr, 7));
                all += usr;
            }
            let spans = sum.spans();
            prop_assert!(spans.len() <= most);
            prop_assert!(spans.windows(2).all(|two| two[0].until <= two[1].since));
            let there: u64 = spans.iter().map(|span| span.usr).sum();
            prop_assert!(there.abs_diff(all) <= spans.len() as u64, "{} of {}", there, all);
        }
    }
}
