// SPDX-License-Identifier: GPL-2.0-only

//! Where samples come from: the module, as they come, or a recording.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustc_hash::FxHashMap;
use taskmonitor::Follow;
use taskmonitor::Id;
use taskmonitor::Monitor;
use taskmonitor::Sample;
use taskmonitor::readable;
use taskmonitor_recording::Event;
use taskmonitor_recording::Head;
use taskmonitor_recording::Reader;

use crate::Failure;
use crate::choose::Chooser;
use crate::cli::Selector;
use crate::rate::Series;
use crate::say;
use crate::times::Clock;

/// How old a name may be: a task takes another one when it execs.
const NAMES_LAST: Duration = Duration::from_secs(10);
/// Samples of a recording that are read at once.
const AT_ONCE: usize = 4096;

/// What is known of a task whose samples come.
pub struct Known {
    /// None: it was removed before its name could be read.
    pub name: Option<String>,
    /// The PID of its process, if it is a thread.
    pub process: Option<u32>,
    chosen: bool,
}

impl Known {
    /// Returns what is known of a task in a recording that has neither a name nor a process there yet.
    fn recorded(id: Id, chooser: &Chooser) -> Self {
        Self { name: None, process: None, chosen: chooser.of_recording(id.pid, None) }
    }
}

/// The tasks whose samples are wanted: all, or those that were chosen when they were first seen.
type Tasks = FxHashMap<Id, Known>;

/// The module.
struct Live {
    monitor: Monitor,
    follow: Follow,
    looked: Instant,
}

impl Live {
    fn look(&mut self, chooser: &Chooser, known: &mut Tasks) -> Result<(), Failure> {
        let tasks = self.monitor.tasks()?;
        let mut now: Tasks = tasks
            .iter()
            // Whoever was chosen stays so: of a task that has exited less is known.
            .map(|task| (task, known.get(&task.id()).is_some_and(|known| known.chosen)))
            .map(|(task, chosen)| (task.id(), Known { name: Some(task.name()), process: task.process(), chosen }))
            .collect();
        for task in chooser.of_tasks(self.monitor.root(), tasks)? {
            now.entry(task.id()).and_modify(|known| known.chosen = true);
        }
        *known = now;
        self.looked = Instant::now();
        Ok(())
    }

    /// Learns of the tasks of `samples` that are new.
    fn learn(&mut self, samples: &[Sample], chooser: &Chooser, known: &mut Tasks) -> Result<(), Failure> {
        let all_known = samples.iter().all(|sample| known.contains_key(&sample.id()));
        if self.looked.elapsed() <= NAMES_LAST && all_known {
            return Ok(());
        }
        self.look(chooser, known)?;
        // One that has been removed meanwhile is shown only where all are, and not looked for again.
        let chosen = chooser.is_empty();
        for sample in samples {
            known.entry(sample.id()).or_insert(Known { name: None, process: None, chosen });
        }
        Ok(())
    }
}

/// A recording.
struct Recorded {
    path: PathBuf,
    reader: Reader,
    over: bool,
    mute: bool,
}

impl Recorded {
    /// What is to be said at its end.
    fn complaint(&self) -> Option<String> {
        let damaged = self.over && !self.reader.damage().is_none();
        damaged.then(|| {
            format!("{0} is damaged: samples may be missing; for details: taskmon info -i {0}", self.path.display())
        })
    }
}

impl Recorded {
    /// Reads the next event. Says whether there was one.
    fn next(
        &mut self,
        chooser: &Chooser,
        known: &mut Tasks,
        clock: &Clock,
        take: &mut impl FnMut(&Sample, &Known),
    ) -> Result<bool, Failure> {
        match self.reader.next()? {
            Some(Event::Name { id, name }) => {
                let before = known.get(&id);
                let chosen = chooser.of_recording(id.pid, Some(&name)) || before.is_some_and(|k| k.chosen);
                let process = before.and_then(|k| k.process);
                known.insert(id, Known { name: Some(readable(&name)), process, chosen });
            }
            Some(Event::Thread { id, process }) => {
                known.entry(id).or_insert_with(|| Known::recorded(id, chooser)).process = Some(process);
            }
            Some(Event::Sample(sample)) => {
                let known = known.entry(sample.id()).or_insert_with(|| Known::recorded(sample.id(), chooser));
                if known.chosen {
                    take(&sample, known);
                }
            }
            Some(Event::Clock(anchor)) => clock.push(anchor),
            Some(_) => {}
            None => {
                if !std::mem::replace(&mut self.over, true) && !self.mute {
                    self.complaint().into_iter().for_each(say);
                }
                return Ok(false);
            }
        }
        Ok(true)
    }
}

// (There is one at a time.)
#[allow(clippy::large_enum_variant)]
enum Origin {
    Live(Live),
    Recorded(Recorded),
}

/// The samples of the tasks that were chosen.
pub struct Source {
    chooser: Chooser,
    known: Tasks,
    origin: Origin,
    clock: Clock,
    // What was read of the module at once.
    samples: Vec<Sample>,
}

impl Source {
    /// What is in the module, and comes into it.
    pub fn module(monitor: &Monitor, selector: &Selector, booted: Option<i64>) -> Result<Self, Failure> {
        let chooser = Chooser::new(selector)?;
        let mut live = Live { monitor: monitor.clone(), follow: monitor.follow()?, looked: Instant::now() };
        let mut known = Tasks::default();
        live.look(&chooser, &mut known)?;
        let clock = Clock::new(booted).map_err(|e| Failure::other("cannot read the clock", e))?;
        Ok(Self { chooser, known, origin: Origin::Live(live), clock, samples: Vec::new() })
    }

    /// What is in a recording. Of the tasks in it only PIDs and names are known: no other selector chooses among them.
    pub fn file(path: &Path, selector: &Selector) -> Result<Self, Failure> {
        let chooser = Chooser::new(selector)?;
        if chooser.needs_proc() {
            return Err(Failure::Other(
                "cannot use --cmdline, --cgroup, --unit, --user or --children with a recording, which has only PIDs \
                 and names of tasks; use a PID or --name"
                    .to_owned(),
            ));
        }
        chooser.parts_of_names().for_each(say);
        let recorded = Recorded { path: path.to_path_buf(), reader: Reader::open(path)?, over: false, mute: false };
        let clock = Clock::of(recorded.reader.head().anchor());
        let origin = Origin::Recorded(recorded);
        Ok(Self { chooser, known: Tasks::default(), origin, clock, samples: Vec::new() })
    }

    /// Leaves it to the caller to say what is wrong with a recording, once all of it has been read.
    pub fn mute(&mut self) {
        if let Origin::Recorded(recorded) = &mut self.origin {
            recorded.mute = true;
        }
    }

    /// What is wrong with the recording, once all of it has been read.
    pub fn complaint(&self) -> Option<String> {
        match &self.origin {
            Origin::Live(_) => None,
            Origin::Recorded(recorded) => recorded.complaint(),
        }
    }

    /// What is known of the recording as a whole, if it is one.
    pub fn head(&self) -> Option<&Head> {
        match &self.origin {
            Origin::Live(_) => None,
            Origin::Recorded(recorded) => Some(recorded.reader.head()),
        }
    }

    /// How the command began that was recorded, if one was: in the counters of its samples.
    pub fn beginning(&self) -> Option<Sample> {
        self.head()?.exec?.beginning()
    }

    /// Makes points of the samples, as [`Series::new`]; the first of a recorded command covers the time since its beginning.
    pub fn series(&self, every: Option<Duration>) -> Series {
        let mut series = Series::by_clock(every, self.clock());
        self.beginning().into_iter().for_each(|beginning| series.begin(beginning));
        series
    }

    /// The clock of the samples: of a recording, that of the system on which it was made. It knows what became of it as far as has
    /// been read.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// That no task is chosen is an error. Of a recording it is known only at its end.
    pub fn demand(&self) -> Result<(), Failure> {
        if self.chooser.is_empty() || self.known.values().any(|known| known.chosen) {
            return Ok(());
        }
        Err(match &self.origin {
            Origin::Live(_) => self.chooser.no_match("monitored task"),
            Origin::Recorded(recorded) => self.chooser.no_match(&format!("task in {}", recorded.path.display())),
        })
    }

    /// The name of a task, as far as it is known now.
    pub fn name(&self, id: &Id) -> Option<&str> {
        self.known.get(id)?.name.as_deref()
    }

    /// Reads some samples, and gives those of the chosen tasks to `take`, with their names. Says whether there were any, of whichever
    /// task: if not, there is nothing more now, and of a recording, nothing more at all. What was read before something
    /// failed has been given.
    pub fn read(&mut self, mut take: impl FnMut(&Sample, Option<&str>)) -> Result<bool, Failure> {
        self.read_known(|sample, known| take(sample, known.name.as_deref()))
    }

    /// As [`read`](Self::read), with all that is known of the task.
    pub fn read_known(&mut self, mut take: impl FnMut(&Sample, &Known)) -> Result<bool, Failure> {
        let Self { chooser, known, origin, clock, samples } = self;
        match origin {
            Origin::Live(live) => {
                samples.clear();
                let read = live.follow.read(|sample| samples.push(sample));
                clock.look();
                if !samples.is_empty() {
                    live.learn(samples, chooser, known)?;
                }
                for sample in samples {
                    if let Some(known) = known.get(&sample.id()).filter(|known| known.chosen) {
                        take(sample, known);
                    }
                }
                Ok(read? > 0)
            }
            Origin::Recorded(recorded) => {
                let mut read = 0;
                while read < AT_ONCE && recorded.next(chooser, known, clock, &mut take)? {
                    read += 1;
                }
                Ok(read > 0)
            }
        }
    }

    /// Waits until there are samples to read, at most for `timeout`, or until a signal comes. For a recording nobody has
    /// to wait.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        match &self.origin {
            Origin::Live(live) => live.follow.wait(timeout).map(|_| ()).map_err(Failure::from),
            Origin::Recorded(_) => Ok(()),
        }
    }
}

impl From<taskmonitor_recording::Error> for Failure {
    fn from(error: taskmonitor_recording::Error) -> Self {
        Self::Other(error.to_string())
    }
}
