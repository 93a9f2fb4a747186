// SPDX-License-Identifier: GPL-2.0-only

//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgGroup;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;

use crate::choose::Name;
use crate::compare::Limit;
use crate::period;
use crate::size::size;
use crate::times::Moment;
use crate::times::duration;

/// Watches tasks by the kernel module taskmonitor
///
/// The module samples CPU times, memory and state of each monitored task into a bounded history in the kernel. taskmon
/// chooses tasks, and shows, exports and explains what was recorded of them.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Without a command, taskmon is taskmon top.

Exit status: 0; 1 if something failed, or the module is missing or may not be used; 2 for a mistake on the command \
line; that of the command for `taskmon run` and `taskmon record -- COMMAND`; for `taskmon diff`, see there."
)]
pub struct Cli {
    /// The folder in which sys and proc lie
    #[arg(long, global = true, hide = true, default_value = "/")]
    pub root: PathBuf,

    /// Nanoseconds since 1970 at which the system was booted, for files that another one wrote
    #[arg(long, global = true, hide = true)]
    pub booted: Option<i64>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Top(Top),
    Run(Run),
    Record(Record),
    Add(Add),
    Remove(Remove),
    List(List),
    Show(Show),
    Info(Info),
    Csv(Csv),
    Diff(Diff),
    Plot(Plot),
    Export(Export),
    Doctor(Doctor),
    Completions(Completions),
    #[command(hide = true)]
    Manual(Manual),
    #[command(name = "__hold", hide = true)]
    Hold(Hold),
}

/// Runs a command that is monitored from its first instruction on
///
/// Passes signals on, returns the command's exit status (128+N when signal N ended it; 125 if taskmon fails, 126 if the
/// command cannot be run, 127 if there is none), then says on stderr what it took. The processes that the command starts
/// are not followed, but those that it waited for count in the totals of user and system time and of faults.
///
/// The period of the module belongs to all who use it: it is lowered to what is asked for while that is needed, and put
/// back when the last `taskmon run` that needed it is done.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon run -- make -j4
  taskmon run --period 10ms --csv samples.csv -- ./benchmark
  taskmon run --plot sort.svg -- sort -o sorted.txt big.txt")]
pub struct Run {
    /// Time between two samples, if it is shorter than that of the module: 10ms, 1s, ...
    #[arg(long, value_name = "DURATION", value_parser = period::asked)]
    pub period: Option<Duration>,

    /// Writes the samples to FILE as comma-separated values
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Writes the samples to FILE as JSON, one object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Draws the samples as an SVG picture to FILE
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,

    /// Leaves the history in the module, for `taskmon show`
    #[arg(long)]
    pub keep: bool,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Records samples into a file, each once, until it is stopped
///
/// Begins with the oldest sample that the module has, and goes on with what comes; what the module drops meanwhile has been
/// recorded. What got lost nevertheless is in the file, with the reason. Without a selector, records all tasks that are
/// monitored now or later.
///
/// The file is for its owner alone, and is sound at any time: who kills taskmon, or the machine, loses no more than
/// the last second (of the machine, what the kernel had not written: the file is synced at the end only). An
/// earlier recording of that name is replaced, another file is not. Where there is no room any more, taskmon waits for
/// some, and what it could not keep until then is lost. SIGINT, SIGTERM, or that none of the PIDs lives any more ends the recording.
///
/// With a command, runs it as `taskmon run` does, and records it alone, from its first instruction on. The exit status is
/// then that of `taskmon run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon record -o all.rec --duration 10m
  taskmon record -o db.rec --name postgres --max-size 100MiB
  taskmon record -o build.rec --period 10ms -- make -j4
  taskmon info -i build.rec")]
pub struct Record {
    /// The file
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,

    #[command(flatten)]
    pub selector: Selector,

    /// Ends after that time: 10s, 5m, ... (a command goes on)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,

    /// Ends when the file would become larger: 500KiB, 100MiB, 2GiB, ... (a command goes on)
    #[arg(long, value_name = "SIZE", value_parser = room)]
    pub max_size: Option<u64>,

    /// Only what is sampled from now on
    #[arg(long, alias = "new")]
    pub from_now: bool,

    /// Of a command: time between two samples, if it is shorter than that of the module: 10ms, 1s, ...
    #[arg(long, value_name = "DURATION", value_parser = period::asked, requires = "command")]
    pub period: Option<Duration>,

    /// A command and its arguments, to run and record
    #[arg(
        last = true,
        value_name = "COMMAND",
        conflicts_with_all = ["pids", "name", "cgroup", "unit", "user", "children", "from_now"]
    )]
    pub command: Vec<OsString>,
}

/// A size that has room for a beginning and an end.
fn room(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 16 << 10;
    size(text).and_then(|size| if size < LEAST { Err("it must be 16KiB or more".to_owned()) } else { Ok(size) })
}

/// What to choose tasks by.
#[derive(Clone, Debug, Default, Args)]
pub struct Selector {
    /// PIDs: of a process, or of a single thread
    ///
    /// They are chosen whatever the options say. Several values of one option choose the tasks that match any of them;
    /// several options, those that match all of them. Of a task that has exited only PID and name are known: no other
    /// option chooses it.
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,

    /// Tasks with this name, as `ps -o comm` shows it; between slashes, a regular expression that must match a part of it
    #[arg(long, value_name = "NAME|/REGEX/")]
    pub name: Vec<Name>,

    /// Tasks in this control group or below it: /system.slice
    #[arg(long, value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    pub cgroup: Vec<String>,

    /// Tasks of this systemd unit: ssh or ssh.service
    #[arg(long, value_name = "UNIT", value_parser = NonEmptyStringValueParser::new())]
    pub unit: Vec<String>,

    /// Tasks of this user, by name or number
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub user: Vec<String>,

    /// The descendants, too, of those that are chosen
    #[arg(long)]
    pub children: bool,
}

/// Starts monitoring the processes that are chosen
///
/// Those that exist now: what is started later is not monitored by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon add 267 300
  taskmon add --name postgres
  taskmon add --unit ssh --children
  taskmon add --name '/^kworker/' --user root")]
pub struct Add {
    #[command(flatten)]
    pub selector: Selector,
}

/// Stops monitoring the tasks that are chosen, and drops what was recorded of them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon remove 267
  taskmon remove --name postgres")]
pub struct Remove {
    #[command(flatten)]
    pub selector: Selector,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// Comma-separated values, with a head line
    Csv,
    /// A JSON object a line
    Ndjson,
    /// "key value" pairs with blanks between them
    Kv,
}

/// Shows the monitored tasks, each with its CPU usage over the last period
///
/// MISSED are instants at which no sample could be taken, EVICTED samples that made room for newer ones, RECLAIMED those
/// that were given back when memory was short.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon list
  taskmon list --user postgres --format csv")]
pub struct List {
    #[command(flatten)]
    pub selector: Selector,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Field {
    /// When the sample was taken
    Time,
    Pid,
    /// The name of the task
    Name,
    State,
    /// CPU usage, in percent of one processor
    Cpu,
    /// CPU usage in user mode; with --raw, nanoseconds since the task began
    Usr,
    /// CPU usage in the kernel; with --raw, nanoseconds since the task began
    Sys,
    /// Resident memory
    Rss,
    /// Page faults without I/O, a second; with --raw, since the task began
    Minflt,
    /// Page faults with I/O, a second; with --raw, since the task began
    Majflt,
    /// Users of the address space
    MmUsers,
    /// Number of the sample
    Seq,
    /// When the task began, in nanoseconds since boot
    Start,
    /// Samples that are missing before this one
    Lost,
}

/// Shows what was recorded, as rates over the time that has really passed
///
/// Where samples are missing (`lost`), no rate is made up for the time between. Without a selector, shows all tasks.
/// A TIME is a duration before now (10m), a date and time by RFC 3339 (2026-11-27T16:00:00Z), or seconds since 1970.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon show 267 --since 10m
  taskmon show --name postgres --since 1h --interval 1m
  taskmon show 267 --follow --format ndjson --fields time,cpu,rss
  taskmon show --raw --format kv
  taskmon show -i build.rec --name cc1 --interval 10s")]
pub struct Show {
    #[command(flatten)]
    pub selector: Selector,

    /// Only what was sampled then or later
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,

    /// Only what was sampled before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,

    /// A line for each such span of time, instead of one for each sample
    #[arg(long, alias = "every", value_name = "DURATION", value_parser = duration)]
    pub interval: Option<Duration>,

    /// What to show, and in which order (of kv, a name is always last)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELD,...")]
    pub fields: Vec<Field>,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// The values as the kernel gives them, instead of rates
    #[arg(long, conflicts_with = "interval")]
    pub raw: bool,

    /// Goes on with new samples as they come
    #[arg(long, short)]
    pub follow: bool,

    /// Shows the recording FILE (of `taskmon record`) instead of what is in the module
    #[arg(long, short, value_name = "FILE", conflicts_with = "follow")]
    pub input: Option<PathBuf>,
}

/// Writes all samples of a recording as comma-separated values
///
/// The counters as the kernel gave them (usr_ns, sys_ns, minflt, majflt), what they grew by as rates, CLOCK_BOOTTIME and the time
/// of day of each sample, and how many samples are missing before it.
#[derive(Debug, Args)]
#[command(
    alias = "export-csv",
    after_help = "\
Examples:
  taskmon csv -i build.rec >build.csv
  taskmon csv -i db.rec --name postgres -o postgres.csv"
)]
pub struct Csv {
    /// The recording
    #[arg(long, short, value_name = "FILE")]
    pub input: PathBuf,

    /// The file to write, instead of stdout
    #[arg(long, short, value_name = "OUT.csv")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub selector: Selector,
}

/// Compares two recordings, for people and for CI
///
/// Tasks of the same name are compared, several of one name together; where each recording has only one, these two, whatever
/// their names are. With more names than one, all tasks together are compared, too, as (all). Peaks and percentiles are
/// over the samples, each of one task; times and faults are increases from the first sample of a task to its last.
#[derive(Debug, Args)]
#[command(after_help = "\
Measures: wall, user, system, cpu (both), minflt, majflt, peak_rss, rss_p50, rss_p95, rss_p99, cpu_peak, cpu_p50, \
cpu_p95, cpu_p99.

Exit status: 0; 1 if something is beyond its limit; 2 if that cannot be told.

Examples:
  taskmon diff old.rec new.rec
  taskmon diff old.rec new.rec --max-increase cpu=5%+10ms --max-increase peak_rss=10%")]
pub struct Diff {
    /// What was recorded before
    pub before: PathBuf,

    /// What was recorded now
    pub after: PathBuf,

    /// Only tasks with this name; between slashes, a regular expression that must match a part of it
    #[arg(long, value_name = "NAME|/REGEX/")]
    pub name: Vec<Name>,

    /// How much more of a measure is not too much: a share (10%), an amount (50ms, 1MiB, 100), or both (10%+50ms)
    #[arg(long, alias = "limit", value_name = "MEASURE=MORE")]
    pub max_increase: Vec<Limit>,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Draws what was recorded: CPU usage, memory and page faults over time
///
/// As an SVG picture, or, with --ascii, for a terminal. Of more than 8 tasks, the 7 with the largest shares of CPU time or
/// memory are drawn, and the sum of the others. Long recordings are reduced, in such a way that peaks stay. Where samples
/// are missing, nothing is drawn between.
///
/// A TIME is a duration before now (10m), a date and time by RFC 3339 (2026-11-27T16:00:00Z), or seconds since 1970.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon plot 267 -o sort.svg
  taskmon plot --name postgres --since 1h --title 'The nightly backup' -o backup.svg
  taskmon plot -i night.rec -o night.svg
  taskmon plot --ascii --since 10m")]
pub struct Plot {
    #[command(flatten)]
    pub selector: Selector,

    /// Draws the recording FILE (of `taskmon record`) instead of what is in the module
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// The file for the picture, which is replaced as a whole; - is stdout
    #[arg(long, short, value_name = "FILE.svg", required_unless_present = "ascii")]
    pub output: Option<PathBuf>,

    /// Draws with characters, to stdout if there is no --output; UTF-8, if the locale has it, and coloured, if that is a
    /// terminal and NO_COLOR is not set
    #[arg(long)]
    pub ascii: bool,

    /// Only what was sampled then or later
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,

    /// Only what was sampled before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,

    /// What to write above it [default: the task, or how many there are]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,

    /// Pixels [default: 800]; with --ascii columns [default: those of the terminal, or 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(40..=4000))]
    pub width: Option<u32>,

    /// Pixels [default: what the tasks take]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10000), conflicts_with = "ascii")]
    pub height: Option<u32>,
}

/// Gives what is recorded to Prometheus
///
/// Series are grouped by the name of the tasks, and their counters count from when taskmon first saw the tasks, or from
/// their beginning if that was later. A series ends two minutes after the last task of its name has exited.
///
/// Anybody who can connect to the address can read the metrics. While the module does not answer, HTTP gives status 503, and
/// the file is removed, as it is when the next one cannot be written. It is also removed at the end (SIGTERM, SIGINT). While taskmon export runs, the module is in use: rmmod
/// fails.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon export --listen 127.0.0.1:9898
  taskmon export --textfile /var/lib/prometheus/node-exporter/taskmonitor.prom")]
#[command(group = ArgGroup::new("to").args(["listen", "textfile"]).required(true))]
pub struct Export {
    /// Serves /metrics on this address and port, until it is stopped
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Writes a file for node_exporter's textfile collector, again and again until it is stopped
    #[arg(long, value_name = "FILE.prom")]
    pub textfile: Option<PathBuf>,

    /// How often the file is written
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15s", conflicts_with = "listen")]
    pub interval: Duration,

    /// Series of their own for each task, with the label pid
    #[arg(long)]
    pub pid: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// CPU usage, the highest first
    Cpu,
    /// Resident memory, the most first
    Memory,
    /// Page faults a second, the most first
    Faults,
    /// PIDs, the lowest first
    Pid,
    /// Names, from a to z
    Name,
}

/// Shows the tasks on the terminal, as they are and as they were; the keys are on `?`
///
/// A table of the tasks, and charts of the selected one over all that was recorded of it. With the left and right arrows,
/// table and charts go back in time. This is also what taskmon without a command does.
///
/// Without a terminal on stdout, or with --batch, writes one frame as text: a head, and a table of all tasks. Rates are those
/// between the two newest samples. (For programs, `taskmon list` has other formats.)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon top
  taskmon top --name postgres --sort memory
  taskmon top -i build.rec
  taskmon top --batch | head -n 20
  COLUMNS=120 taskmon top --batch --sort faults >tasks.txt

Colours are left out if NO_COLOR is in the environment. --batch is as wide as COLUMNS says, or the terminal, or 80 columns.")]
pub struct Top {
    #[command(flatten)]
    pub selector: Selector,

    /// Shows the recording FILE (of `taskmon record`) instead of what is in the module
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Writes one frame as text
    #[arg(long, alias = "once")]
    pub batch: bool,

    /// What to sort by; keys change it
    #[arg(long, value_enum, default_value_t = Sort::Cpu)]
    pub sort: Sort,

    /// The least time between two changes of the screen, but for keys
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    pub interval: Duration,
}

impl Default for Top {
    fn default() -> Self {
        Self {
            selector: Selector::default(),
            input: None,
            batch: false,
            sort: Sort::Cpu,
            interval: Duration::from_secs(1),
        }
    }
}

/// Says what is in a recording
///
/// When and of what it was made, why it ended, whether it is damaged or was cut off, and of each task from when to when it was
/// recorded, its CPU time and peak memory in that time, and how many samples got lost for what reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon info -i build.rec
  taskmon info -i build.rec --format ndjson")]
pub struct Info {
    /// The recording
    #[arg(long, short, value_name = "FILE")]
    pub input: PathBuf,

    /// How to write it; all but a table is of the tasks alone
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Says why taskmon or the module does not work here, and what mends it
#[derive(Debug, Args)]
pub struct Doctor {}

/// Writes completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon completions bash >/etc/bash_completion.d/taskmon")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Writes the manual pages
#[derive(Debug, Args)]
pub struct Manual {
    /// Where to
    pub folder: PathBuf,
}

/// A process that waits until it may turn into a command (see hold.rs)
#[derive(Debug, Args)]
pub struct Hold {
    /// The pipe that says so
    pub go: i32,

    /// The pipe that it reports to
    pub report: i32,

    /// The command and its arguments
    #[arg(required = true, last = true)]
    pub command: Vec<OsString>,
}

/// Ends taskmon as clap does for a mistake on the command line, with the usage of `command`.
pub fn mistake(command: &str, what: &str) -> ! {
    use clap::CommandFactory;
    let mut cli = Cli::command();
    cli.build();
    let mut alone = cli.clone();
    let command = cli.find_subcommand_mut(command).unwrap_or(&mut alone);
    command.error(clap::error::ErrorKind::ValueValidation, what).exit()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Command lines by a former name and by its successor.
    const RENAMED: [(&[&str], &[&str]); 5] = [
        (&["top", "--once"], &["top", "--batch"]),
        (&["show", "--every", "1m"], &["show", "--interval", "1m"]),
        (&["record", "-o", "a.rec", "--new"], &["record", "-o", "a.rec", "--from-now"]),
        (&["diff", "a", "b", "--limit", "cpu=5%"], &["diff", "a", "b", "--max-increase", "cpu=5%"]),
        (&["export-csv", "-i", "a.rec"], &["csv", "-i", "a.rec"]),
    ];
    const FORMER: [&str; 5] = ["--once", "--every", "--new", "--limit", "export-csv"];

    fn parsed(args: &[&str]) -> String {
        let cli = Cli::try_parse_from([&["taskmon"], args].concat()).unwrap();
        format!("{cli:?}")
    }

    #[test]
    fn former_names_work() {
        for (former, now) in RENAMED {
            assert_eq!(parsed(former), parsed(now));
        }
    }

    #[test]
    fn help_has_no_former_name() {
        let mut cli = Cli::command();
        cli.build();
        let mut commands = vec![&cli];
        commands.extend(cli.get_subcommands());
        for command in commands {
            for help in [command.clone().render_help(), command.clone().render_long_help()] {
                let help = help.to_string();
                let words: Vec<&str> = help.split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).collect();
                for former in FORMER {
                    assert!(!words.contains(&former), "{}: {former}", command.get_name());
                }
            }
        }
    }
}
