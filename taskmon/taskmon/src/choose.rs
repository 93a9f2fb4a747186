// SPDX-License-Identifier: GPL-2.0-only

//! Which tasks a selector means, and what is done with them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::io::Write;
use std::str::FromStr;

use procfs::ProcError;
use procfs::process::Process;
use regex_lite::Regex;
use taskmonitor::Command;
use taskmonitor::Monitor;
use taskmonitor::Reason;
use taskmonitor::Root;
use taskmonitor::Task;
use taskmonitor::readable;

use crate::Failure;
use crate::cli::Add;
use crate::cli::Remove;
use crate::cli::Selector;
use crate::say;

/// Bytes of a name that the kernel keeps.
const COMM: usize = 15;

/// A name to look for.
#[derive(Clone, Debug)]
pub enum Name {
    Exact(Vec<u8>),
    Regex(Regex),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('/').and_then(|text| text.strip_suffix('/')) {
            Some(regex) => Regex::new(regex)
                .map(Self::Regex)
                .map_err(|e| format!("invalid regular expression \"{}\": {e}", regex.escape_debug())),
            None => Ok(Self::Exact(text.as_bytes().iter().copied().take(COMM).collect())),
        }
    }
}

/// As on the command line.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(&readable(name)),
            Self::Regex(regex) => write!(f, "/{}/", regex.as_str().escape_debug()),
        }
    }
}

impl Name {
    fn matches(&self, comm: &[u8]) -> bool {
        match self {
            Self::Exact(name) => name == comm,
            Self::Regex(regex) => regex.is_match(&String::from_utf8_lossy(comm)),
        }
    }
}

/// What is known of a process beyond what the module says.
#[derive(Clone, Debug)]
struct Facts {
    pid: u32,
    parent: u32,
    comm: String,
    user: u32,
    groups: Vec<String>,
}

/// A selector that is understood.
#[derive(Debug)]
pub struct Chooser {
    pids: Vec<u32>,
    names: Vec<Name>,
    groups: Vec<String>,
    units: Vec<String>,
    users: Vec<u32>,
    children: bool,
    // The selector as on the command line.
    text: String,
}

impl Chooser {
    /// Understands `selector`.
    pub fn new(selector: &Selector) -> Result<Self, Failure> {
        Ok(Self {
            pids: selector.pids.clone(),
            names: selector.name.clone(),
            groups: selector.cgroup.iter().map(|group| format!("/{}", group.trim_matches('/'))).collect(),
            units: selector.unit.iter().map(|unit| full_unit(unit)).collect(),
            users: selector.user.iter().map(|user| user_number(user)).collect::<Result<_, _>>()?,
            children: selector.children,
            text: text(selector),
        })
    }

    /// The error that no task matches: `tasks` says which tasks were searched.
    pub fn no_match(&self, tasks: &str) -> Failure {
        Failure::Other(format!("no {tasks} matches {}", self.text))
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty() && !self.filters()
    }

    /// Whether it names tasks by their PIDs alone.
    pub fn only_pids(&self) -> bool {
        !self.pids.is_empty() && !self.filters() && !self.children
    }

    fn filters(&self) -> bool {
        !(self.names.is_empty() && self.groups.is_empty() && self.units.is_empty() && self.users.is_empty())
    }

    /// Whether /proc is needed to choose among tasks whose names are known.
    pub fn needs_proc(&self) -> bool {
        self.children || !(self.groups.is_empty() && self.units.is_empty() && self.users.is_empty())
    }

    fn matches(&self, comm: &[u8], process: Option<&Facts>) -> bool {
        let any = |none: bool, matches: &dyn Fn() -> bool| none || matches();
        self.filters()
            && any(self.names.is_empty(), &|| self.names.iter().any(|name| name.matches(comm)))
            && any(self.groups.is_empty(), &|| {
                process.is_some_and(|p| self.groups.iter().any(|group| p.groups.iter().any(|g| below(g, group))))
            })
            && any(self.units.is_empty(), &|| {
                process
                    .is_some_and(|p| self.units.iter().any(|u| p.groups.iter().any(|g| g.split('/').any(|s| s == u))))
            })
            && any(self.users.is_empty(), &|| process.is_some_and(|p| self.users.contains(&p.user)))
    }

    /// Whether it chooses a task of which only PID and, maybe, name are known.
    pub fn of_recording(&self, pid: u32, comm: Option<&[u8]>) -> bool {
        self.is_empty() || self.pids.contains(&pid) || comm.is_some_and(|comm| self.matches(comm, None))
    }

    // The PIDs of those that are chosen and, if they are asked for, of their descendants.
    fn among(&self, processes: &[Facts]) -> Vec<u32> {
        let mut chosen = self.pids.clone();
        chosen.extend(processes.iter().filter(|p| self.matches(p.comm.as_bytes(), Some(p))).map(|p| p.pid));
        if self.children {
            let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
            for p in processes {
                children.entry(p.parent).or_default().push(p.pid);
            }
            let mut next = 0;
            // No process is visited twice, however the tree changed while it was read.
            let mut seen: HashSet<u32> = chosen.iter().copied().collect();
            while let Some(&pid) = chosen.get(next) {
                next += 1;
                let more = children.get(&pid).into_iter().flatten().filter(|&&pid| seen.insert(pid));
                let more: Vec<u32> = more.copied().collect();
                chosen.extend(more);
            }
        }
        let mut seen = HashSet::new();
        chosen.retain(|&pid| seen.insert(pid));
        chosen
    }

    /// The processes of the system that are chosen, by their PIDs.
    fn of_system(&self, root: &Root) -> Result<Vec<u32>, Failure> {
        let processes = if self.filters() || self.children { processes(root)? } else { Vec::new() };
        Ok(self.among(&processes))
    }

    /// Those of `tasks` that are chosen; all, if the selector says nothing. Of a task that has exited only PID and name are
    /// known.
    pub fn of_tasks(&self, root: &Root, tasks: Vec<Task>) -> Result<Vec<Task>, Failure> {
        if self.is_empty() {
            return Ok(tasks);
        }
        let mut by_proc = HashSet::new();
        if self.needs_proc() {
            let mut all = processes(root)?;
            // A single thread is not listed in /proc, but it is there.
            let listed: HashSet<u32> = all.iter().map(|facts| facts.pid).collect();
            let threads = tasks.iter().filter(|task| !task.state.exited() && !listed.contains(&task.pid));
            all.extend(threads.filter_map(|task| {
                Process::new_with_root(root.join("proc").join(task.pid.to_string())).ok().and_then(|p| facts(&p))
            }));
            by_proc.extend(self.among(&all));
        }
        let chosen = |task: &Task| {
            self.pids.contains(&task.pid)
                || self.matches(&task.comm, None)
                || !task.state.exited() && by_proc.contains(&task.pid)
        };
        Ok(tasks.into_iter().filter(chosen).collect())
    }
}

/// The selector as on the command line.
fn text(selector: &Selector) -> String {
    let Selector { pids, name, cgroup, unit, user, children } = selector;
    let mut words: Vec<String> = pids.iter().map(|pid| format!("PID {pid}")).collect();
    words.extend(name.iter().map(|name| format!("--name {name}")));
    for (option, values) in [("--cgroup", cgroup), ("--unit", unit), ("--user", user)] {
        words.extend(values.iter().map(|value| format!("{option} {}", readable(value.as_bytes()))));
    }
    words.extend(children.then(|| "--children".to_owned()));
    words.join(" ")
}

/// Whether the control group `group` is `other` or below it.
fn below(group: &str, other: &str) -> bool {
    other == "/" || group.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What systemd means by `ssh`: `ssh.service`.
fn full_unit(unit: &str) -> String {
    const KINDS: [&str; 3] = [".service", ".scope", ".slice"];
    if KINDS.iter().any(|kind| unit.ends_with(kind)) { unit.to_owned() } else { format!("{unit}.service") }
}

/// The number of a user. Names are `id`'s to know, which asks whatever the system has for that.
fn user_number(user: &str) -> Result<u32, Failure> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let unknown = || Failure::Other(format!("unknown user \"{}\"", user.escape_debug()));
    let output = std::process::Command::new("id")
        .args(["-u", "--", user])
        .output()
        .map_err(|e| Failure::other("cannot run id to look up the user", e))?;
    if !output.status.success() {
        return Err(unknown());
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| unknown())
}

/// All processes. What ends while it is read is left out.
fn processes(root: &Root) -> Result<Vec<Facts>, Failure> {
    let folder = root.join("proc");
    let failed = |e: ProcError| Failure::other(format!("cannot read {}", folder.display()), e);
    let mut all = Vec::new();
    for process in procfs::process::all_processes_with_root(&folder).map_err(failed)? {
        all.extend(process.ok().and_then(|process| facts(&process)));
    }
    Ok(all)
}

/// What is known of a process, or of a single thread; nothing once it has ended.
fn facts(process: &Process) -> Option<Facts> {
    let (stat, user) = (process.stat().ok()?, process.uid().ok()?);
    let groups = process.cgroups().map(|groups| groups.0.into_iter().map(|group| group.pathname).collect());
    Some(Facts {
        pid: u32::try_from(stat.pid).unwrap_or_default(),
        parent: u32::try_from(stat.ppid).unwrap_or_default(),
        comm: stat.comm,
        user,
        groups: groups.unwrap_or_default(),
    })
}

/// The PIDs of the processes with this name, or with one that matches a regular expression.
pub fn by_name(root: &Root, name: &str) -> Result<Vec<u32>, String> {
    let selector = Selector { name: vec![name.parse()?], ..Selector::default() };
    Chooser::new(&selector).and_then(|chooser| chooser.of_system(root)).map_err(|e| e.to_string())
}

/// The result for `selected` tasks, of which `failed` could not be added or removed.
fn verdict(chooser: &Chooser, tasks: &str, selected: usize, failed: usize) -> Result<(), Failure> {
    match (selected, failed) {
        (0, _) => Err(chooser.no_match(tasks)),
        (_, 0) => Ok(()),
        _ => Err(Failure::Said),
    }
}

/// Ends `taskmon COMMAND` as any other mistake on the command line does if its selector says nothing.
pub fn demand(selector: &Selector, command: &str) {
    let Selector { pids, name, cgroup, unit, user, children: _ } = selector;
    if pids.is_empty() && [name.is_empty(), cgroup.is_empty(), unit.is_empty(), user.is_empty()] == [true; 4] {
        crate::cli::mistake(command, "no task selected: give a PID, --name, --cgroup, --unit or --user");
    }
}

/// `taskmon add`
pub fn add(monitor: &Monitor, args: &Add) -> Result<(), Failure> {
    let chooser = Chooser::new(&args.selector)?;
    let itself = std::process::id();
    let by_hand: HashSet<u32> = chooser.pids.iter().copied().collect();
    let mut chosen = chooser.of_system(monitor.root())?;
    chosen.retain(|&pid| pid != itself || by_hand.contains(&pid));
    let (mut failed, mut report) = (0, Report::default());
    for (i, &pid) in chosen.iter().enumerate() {
        match monitor.send(Command::Add(pid)) {
            Ok(()) => report.line(format!("{pid}: added")),
            Err(e) => match e.reason() {
                Some(Reason::Monitored) => report.line(format!("{pid}: already monitored")),
                // What was found in /proc may have ended meanwhile; what was given by hand should be there.
                Some(Reason::NoSuchTask) if !by_hand.contains(&pid) => {
                    report.line(format!("{pid}: exited before it was added"))
                }
                Some(reason) => {
                    failed += 1;
                    let hint = match reason {
                        Reason::TooMany => "; to see how to raise it: taskmon doctor",
                        _ => "",
                    };
                    say(format_args!("{pid}: not added: {reason}{hint}"));
                    // It would be the same for all others.
                    if reason == Reason::TooMany {
                        for pid in chosen.iter().skip(i + 1) {
                            report.line(format!("{pid}: not tried"));
                        }
                        break;
                    }
                }
                None => return Err(e.into()),
            },
        }
    }
    report.end()?;
    verdict(&chooser, "process", chosen.len(), failed)
}

/// `taskmon remove`
pub fn remove(monitor: &Monitor, args: &Remove) -> Result<(), Failure> {
    let chooser = Chooser::new(&args.selector)?;
    let tasks = chooser.of_tasks(monitor.root(), monitor.tasks()?)?;
    let mut pids: Vec<u32> = tasks.iter().map(|task| task.pid).collect();
    let there: HashSet<u32> = pids.iter().copied().collect();
    // Also said of what is not there.
    pids.extend(chooser.pids.iter().filter(|pid| !there.contains(pid)));
    let mut seen = HashSet::new();
    pids.retain(|&pid| seen.insert(pid));
    let (mut failed, mut report) = (0, Report::default());
    for &pid in &pids {
        match monitor.send(Command::Remove(pid)) {
            Ok(()) => report.line(format!("{pid}: removed")),
            Err(e) => match e.reason() {
                Some(reason) => {
                    failed += 1;
                    say(format_args!("{pid}: not removed: {reason}"));
                }
                None => return Err(e.into()),
            },
        }
    }
    report.end()?;
    verdict(&chooser, "monitored task", pids.len(), failed)
}

/// What was done, for stdout: line by line, so that it has been said whatever happens next. That it cannot be written is no
/// reason to leave half of the tasks undone.
#[derive(Default)]
struct Report(Option<io::Error>);

impl Report {
    fn line(&mut self, mut text: String) {
        text.push('\n');
        if self.0.is_none() {
            self.0 = io::stdout().write_all(text.as_bytes()).err();
        }
    }

    fn end(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), |e| Err(Failure::output(&e)))
    }
}
