// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon export`: what is recorded, for Prometheus.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeVal;
use taskmonitor::Error;
use taskmonitor::Follow;
use taskmonitor::Monitor;

use crate::Failure;
use crate::cli::Export;
use crate::clients::Client;
use crate::clients::Clients;
use crate::exposition::Format;
use crate::exposition::Module;
use crate::exposition::Own;
use crate::exposition::page;
use crate::http;
use crate::http::Request;
use crate::http::Response;
use crate::http::Service;
use crate::listen::Listen;
use crate::metrics::Groups;
use crate::metrics::LINGER;
use crate::say;
use crate::signals::Stop;

/// Reading samples takes so long at most. All counters in them are totals: those of the next samples make up for the ones
/// that are left out then, but for the last faults of tasks that have exited.
const READ: Duration = Duration::from_secs(2);
/// So often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(250);

/// The update that an exporter begins with. All counters are 0 then.
const FIRST: u64 = 1;

struct Exporter<'a> {
    monitor: &'a Monitor,
    stop: &'a Stop,
    // None after an error: what is open then may be of no use any more.
    follow: Option<Follow>,
    groups: Groups,
    clients: Clients,
    begun: Instant,
    own: Own,
    // What was said last of what is wrong, so that it is said once.
    said: Option<String>,
}

impl<'a> Exporter<'a> {
    /// Begins to watch. That it cannot shows here, not with the first scrape.
    fn new(monitor: &'a Monitor, stop: &'a Stop, by_pid: bool) -> Result<Self, Error> {
        let (follow, groups) = (None, Groups::new(by_pid));
        let (clients, begun) = (Clients::default(), Instant::now());
        let mut exporter = Self { monitor, stop, follow, groups, clients, begun, own: Own::default(), said: None };
        exporter.read()?;
        Ok(exporter)
    }

    /// Reads what is new.
    fn read(&mut self) -> Result<Module, Error> {
        // An error leaves it closed.
        let mut follow = match self.follow.take() {
            Some(follow) => follow,
            None => {
                // The history may be hundreds of megabytes, and only its end matters.
                let mut follow = self.monitor.follow()?;
                follow.skip()?;
                follow
            }
        };
        let begun = Instant::now();
        loop {
            let read = follow.read(|sample| self.groups.sample(sample))?;
            self.own.samples += read as u64;
            if read == 0 {
                break;
            }
            if begun.elapsed() >= READ || self.stop.asked() {
                follow.skip()?;
                break;
            }
        }
        // In this order: the task of each sample is listed, and what begins while the list is read counts as new the next time.
        let now = boottime();
        let tasks = self.monitor.tasks()?;
        let module = Module {
            version: self.monitor.version()?,
            period: self.monitor.period()?,
            sampling: self.monitor.sampling()?,
        };
        self.groups.update(&tasks, now);
        self.follow = Some(follow);
        Ok(module)
    }

    /// The update of the groups that a collector saw last: `known`, if it has been here before.
    ///
    /// One that is new may have asked the exporter that was here before this one. If this one has just begun, whatever has come
    /// since has come since that one saw it. Later, it is likely that the collector is new itself, or has another address now: what
    /// it sees first is not to look like an increase.
    fn seen(&self, known: Option<u64>) -> u64 {
        let young = self.begun.elapsed() < Duration::from_nanos(LINGER);
        known.unwrap_or(if young { FIRST } else { u64::MAX })
    }

    /// The text that is true now, for a collector that saw the update `known` last, if it has been here before.
    fn scrape(&mut self, format: Format, known: Option<u64>) -> Result<String, Error> {
        let begun = Instant::now();
        self.own.scrapes += 1;
        let module = self.read().inspect_err(|_| self.own.errors += 1)?;
        self.own.duration = begun.elapsed();
        self.own.cpu = cpu();
        Ok(page(&self.groups, self.seen(known), &module, &self.own, format))
    }

    /// Says what is wrong, if that is new.
    fn complain(&mut self, error: &impl ToString) {
        let text = error.to_string();
        if self.said.as_ref() != Some(&text) {
            say(&text);
            self.said = Some(text);
        }
    }
}

/// Nanoseconds since boot, as in the module's times.
fn boottime() -> u64 {
    // A clock that each kernel has gives no error.
    crate::times::boottime().unwrap_or_default()
}

fn cpu() -> [Duration; 2] {
    let time = |t: TimeVal| Duration::from_micros(u64::try_from(t.tv_sec() * 1_000_000 + t.tv_usec()).unwrap_or(0));
    getrusage(UsageWho::RUSAGE_SELF)
        .map(|usage| [time(usage.user_time()), time(usage.system_time())])
        .unwrap_or_default()
}

/// `taskmon export`
pub fn export(monitor: &Monitor, args: &Export) -> Result<(), Failure> {
    let stop = Stop::new()?;
    let exporter = Exporter::new(monitor, &stop, args.pid)?;
    match (&args.listen, &args.textfile) {
        (Some(address), _) => listen(exporter, address),
        (None, Some(path)) => textfile(exporter, path, args.interval),
        (None, None) => Err(Failure::Other("no destination given: use --listen or --textfile".to_owned())),
    }
}

const WELCOME: &str =
    "<!DOCTYPE html>\n<title>taskmon export</title>\n<p>taskmon export: <a href=\"/metrics\">/metrics</a>\n";

fn listen(mut exporter: Exporter<'_>, listen: &Listen) -> Result<(), Failure> {
    let listeners = listen.sockets()?;
    for listener in &listeners {
        let address = listener.local_addr().map_err(|e| Failure::other(format!("cannot listen on {listen}"), e))?;
        say(format!("serving http://{address}/metrics"));
    }
    let stop = exporter.stop;
    http::serve(&listeners, stop, &mut exporter)
}

impl Service for Exporter<'_> {
    fn answer(&mut self, request: &Request) -> Response {
        match request.path.as_str() {
            "/metrics" => {
                let format = Format::accepted(&request.accept);
                match self.scrape(format, self.clients.seen(&client(request))) {
                    Ok(body) => {
                        self.said = None;
                        let receipt = Some(self.groups.updates());
                        Response { status: 200, content_type: format.content_type(), body, receipt }
                    }
                    Err(error) => {
                        self.complain(&error);
                        Response::plain(503, format!("{error}\n"))
                    }
                }
            }
            "/" => Response { content_type: "text/html; charset=utf-8", ..Response::plain(200, WELCOME) },
            _ => Response::plain(404, "not found: the metrics are at /metrics\n"),
        }
    }

    /// A scrape that times out has shown nothing: the client gets the zeros again.
    fn delivered(&mut self, request: &Request, update: u64) {
        self.clients.sees(client(request), update);
    }
}

fn client(request: &Request) -> Client {
    Client::new(request.address, &request.agent)
}

fn textfile(mut exporter: Exporter<'_>, path: &Path, interval: Duration) -> Result<(), Failure> {
    let name = path
        .file_name()
        .ok_or_else(|| Failure::Other(format!("--textfile {}: this is not the path of a file", path.display())))?;
    // node_exporter reads what ends in .prom.
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    let new = path.with_file_name(hidden);
    let file = Textfile { path, new };
    let (mut written, mut seen) = (false, FIRST);
    while !exporter.stop.asked() {
        // One that no clock can tell does not come.
        let next = Instant::now().checked_add(interval);
        match exporter.scrape(Format::Text, Some(seen)) {
            Ok(text) => match file.write(&text) {
                Ok(()) => {
                    written = true;
                    seen = exporter.groups.updates();
                    exporter.said = None;
                }
                // That is a mistake in the call, rather than a disk that is full for a while.
                Err(e) if !written => return Err(Failure::Other(cannot("write", path, &e))),
                Err(e) => {
                    exporter.complain(&cannot("write", path, &e));
                    // What is there is not true any more. (That it may stay has been said, in other words.)
                    let _ = file.remove();
                }
            },
            Err(error) => {
                exporter.complain(&error);
                file.remove().map_err(|e| Failure::Other(cannot("remove", path, &e)))?;
            }
        }
        while !exporter.stop.asked() {
            let left = next.map_or(LOOK, |next| next.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
    file.remove().map_err(|e| Failure::Other(cannot("remove", path, &e)))
}

/// `cannot write FILE: ERROR`
fn cannot(verb: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {verb} {}: {error}", path.display())
}

/// What each file begins with.
const BEGIN: &str = "# HELP taskmonitor_";

/// The file for node_exporter. It is not there while there is nothing true to say: node_exporter would go on to give what
/// stands in it, as if it were.
struct Textfile<'a> {
    path: &'a Path,
    // Beside it, so that it can take its place.
    new: PathBuf,
}

impl Textfile<'_> {
    fn write(&self, text: &str) -> io::Result<()> {
        self.demand_ours()?;
        let written = self.write_new(text).and_then(|()| fs::rename(&self.new, self.path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&self.new);
        })
    }

    fn write_new(&self, text: &str) -> io::Result<()> {
        // The folder may be another user's, who is not to choose what root writes to: no link is followed.
        remove(&self.new)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&self.new)?;
        // Whatever umask says: node_exporter is not root.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())
    }

    /// Fails if there is anything but a file with metrics of taskmon. Renaming would replace whatever it is, a device or a link, too.
    fn demand_ours(&self) -> io::Result<()> {
        let other = || Err(io::Error::other("it exists and is not a file of taskmon export"));
        match fs::symlink_metadata(self.path) {
            Ok(meta) if !meta.is_file() => return other(),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        }
        let mut begin = Vec::new();
        // (Another user's folder may have something else there by now.)
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(self.path)?;
        file.take(BEGIN.len() as u64).read_to_end(&mut begin)?;
        if begin.is_empty() || begin == BEGIN.as_bytes() { Ok(()) } else { other() }
    }

    fn remove(&self) -> io::Result<()> {
        self.demand_ours().and_then(|()| remove(self.path))
    }
}

/// Removes a file, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
