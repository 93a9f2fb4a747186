// SPDX-License-Identifier: GPL-2.0-only

//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgGroup;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use clap::builder::OsStringValueParser;
use clap::builder::TypedValueParser;

use crate::choose::CommandLine;
use crate::choose::Name;
use crate::compare::Limit;
use crate::listen::Listen;
use crate::period;
use crate::size::size;
use crate::times::Moment;
use crate::times::duration;

/// Monitor tasks with the kernel module taskmonitor
///
/// The module samples the CPU time, memory and state of each monitored task into a bounded history
/// in the kernel. taskmon selects the tasks to monitor, and shows, records, plots and exports their
/// samples.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Without a command, taskmon runs taskmon top.

Exit status: 0 on success; 1 on an error, also if the module is not loaded or access to it is denied; 2 for wrong \
usage. `taskmon run` and `taskmon record -- COMMAND` exit with the status of the command; `taskmon diff` has exit \
statuses of its own."
)]
pub struct Cli {
    /// Directory that contains sys and proc
    #[arg(long, global = true, hide = true, default_value = "/")]
    pub root: PathBuf,

    /// Boot time of the system in nanoseconds since 1970, for files that another system wrote
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
}

/// Run a command and monitor it from its first instruction
///
/// Forwards signals to the command. When the command has ended, prints a summary to stderr: run
/// time, CPU time, memory, page faults and samples.
///
/// The processes that the command starts are not monitored. User time, system time and page faults
/// in the summary include the child processes that the command has waited for.
///
/// The period of the module applies to all monitored tasks. If --period is shorter, taskmon lowers
/// the module's period while the command runs, and restores it when the last `taskmon run` that
/// needed it has ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: that of the command, or 128+N if signal N ended it; 125 if taskmon fails; 126 if the command cannot be \
run; 127 if it does not exist.

Examples:
  taskmon run -- make -j4
  taskmon run --period 10ms --csv samples.csv -- ./benchmark
  taskmon run --plot sort.svg -- sort -o sorted.txt big.txt")]
pub struct Run {
    /// Time between two samples (10ms, 1s); has no effect unless it is shorter than the module's
    /// period
    #[arg(long, value_name = "DURATION", value_parser = period::asked)]
    pub period: Option<Duration>,

    /// Write the samples to FILE as comma-separated values: rates, and totals since the command began
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write the samples to FILE as JSON, one object per line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Plot the samples to FILE.svg
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,

    /// Keep the history in the module, for `taskmon show`
    #[arg(long)]
    pub keep: bool,

    /// Command to run, and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Record samples into a file until stopped
///
/// Starts with the oldest sample in the module and continues with new samples as they are taken.
/// Each sample is recorded once, and stays in the file after the module drops it. The file also
/// contains how many samples were lost, and why. Without a selector, taskmon records all tasks that
/// are monitored now or later.
///
/// With a command, taskmon runs it as `taskmon run` does and records only this command, from its
/// first instruction. The exit status is then that of `taskmon run`.
///
/// SIGINT or SIGTERM ends the recording. If tasks are selected by PID alone, the recording also
/// ends when all of them have exited or were removed.
///
/// The file has mode 0600 and is readable at any time, also while it is being written. If taskmon
/// is killed, at most the last second is lost. If the machine crashes, data that the kernel had not
/// written back is lost, because taskmon syncs the file only at the end. An existing recording of
/// this name is replaced, but not one that is damaged, newer than this taskmon, or not fully understood, nor any other file. If the
/// file system is full, taskmon buffers up to 1 MiB and retries; samples that do not fit into the buffer are lost.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon record -o all.rec --duration 10m
  taskmon record -o db.rec --name postgres --max-size 100MiB
  taskmon record -o build.rec --period 10ms -- make -j4
  taskmon info -i build.rec")]
pub struct Record {
    /// File to write
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,

    #[command(flatten)]
    pub selector: Selector,

    /// End the recording after this time (10s, 5m); the command, if any, continues
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,

    /// Maximum size of the file (500KiB, 100MiB, 2GiB); the recording ends there, the command, if
    /// any, continues
    #[arg(long, value_name = "SIZE", value_parser = room)]
    pub max_size: Option<u64>,

    /// Record only samples that are taken from now on
    #[arg(long, alias = "new")]
    pub from_now: bool,

    /// Time between two samples while the command runs (10ms, 1s); has no effect unless it is
    /// shorter than the module's period
    #[arg(long, value_name = "DURATION", value_parser = period::asked, requires = "command")]
    pub period: Option<Duration>,

    /// Command to run and record, and its arguments
    #[arg(
        last = true,
        value_name = "COMMAND",
        conflicts_with_all = ["pids", "name", "cmdline", "cgroup", "unit", "user", "children", "from_now"]
    )]
    pub command: Vec<OsString>,
}

/// A size that has room for a head and an end.
fn room(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 16 << 10;
    size(text).and_then(|size| if size < LEAST { Err("the minimum is 16KiB".to_owned()) } else { Ok(size) })
}

/// Selects tasks.
#[derive(Clone, Debug, Default, Args)]
pub struct Selector {
    /// PID of a process, or TID of a single thread
    ///
    /// Tasks that are given by PID are always selected, whatever the options are. An option that is
    /// given several times selects the tasks that match any of its values. With several different
    /// options, a task must match all of them. For a task that has exited, only PID and name are
    /// known: --cmdline, --cgroup, --unit and --user never select it.
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,

    /// Select tasks by name (see `ps -o comm`); /REGEX/ matches any part of the name
    ///
    /// The kernel keeps 15 bytes of a name. A longer NAME selects the living processes whose program,
    /// by its command line or its file, has exactly this name; in a recording, taskmon compares its
    /// first 15 bytes, and says so. Kernel threads are also selected by the longer names that ps
    /// shows. What a kworker works on can change, so NAME selects the worker with any work.
    #[arg(long, value_name = "NAME|/REGEX/", value_parser = OsStringValueParser::new().try_map(Name::parse))]
    pub name: Vec<Name>,

    /// Select processes by command line, the arguments with a blank between them (see `ps -o args`);
    /// /REGEX/ matches any part of it
    ///
    /// taskmon compares the first 128 KiB. Kernel threads and zombies have no command line.
    #[arg(long, value_name = "TEXT|/REGEX/", value_parser = OsStringValueParser::new().try_map(CommandLine::parse))]
    pub cmdline: Vec<CommandLine>,

    /// Select tasks in this control group or below it, for example /system.slice
    #[arg(long, value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    pub cgroup: Vec<String>,

    /// Select tasks of this systemd unit, of any type: ssh or ssh.service, session-1.scope
    ///
    /// UNIT is a name as systemctl prints and accepts it; the default type is .service. A slice, and
    /// the manager of a user (user@1000), include the units in them. A template (getty@) selects all
    /// its instances. A name means the unit of the system, and those of users and containers that
    /// have the same name; --cgroup selects one of them.
    #[arg(long, value_name = "UNIT", value_parser = NonEmptyStringValueParser::new())]
    pub unit: Vec<String>,

    /// Select tasks of this user, by name or UID
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub user: Vec<String>,

    /// Also select all descendants of the selected tasks
    #[arg(long)]
    pub children: bool,
}

/// Start monitoring the selected processes
///
/// Only processes that exist now are added. Processes that start later are not monitored
/// automatically.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon add 267 300
  taskmon add --name postgres
  taskmon add --cmdline '/java .*-jar app[.]jar/'
  taskmon add --unit ssh --children
  taskmon add --name '/^kworker/' --user root")]
pub struct Add {
    #[command(flatten)]
    pub selector: Selector,
}

/// Stop monitoring the selected tasks and drop their history
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
    /// Table for people
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// One JSON object per line
    Ndjson,
    /// "key value" pairs separated by spaces
    Kv,
}

/// List the monitored tasks with their current CPU usage
///
/// %CPU is the CPU usage between the two newest samples of the task. RSS is the resident memory in
/// its newest sample. SAMPLES is the number of samples in memory. MISSED counts sampling instants
/// at which no sample could be taken, EVICTED counts samples dropped to make room for newer ones or
/// by the command `clear`, RECLAIMED counts samples given back to the system under memory pressure.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon list
  taskmon list --user postgres --format csv")]
pub struct List {
    #[command(flatten)]
    pub selector: Selector,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Field {
    /// Time of the sample
    Time,
    /// PID of the task
    Pid,
    /// Name of the task
    Name,
    /// State of the task, a letter as in /proc/PID/stat
    State,
    /// CPU usage in percent of one processor
    Cpu,
    /// CPU usage in user mode; with --raw, user CPU time in nanoseconds since the task started
    Usr,
    /// CPU usage in the kernel; with --raw, system CPU time in nanoseconds since the task started
    Sys,
    /// Resident memory
    Rss,
    /// Page faults without I/O per second; with --raw, their number since the task started
    Minflt,
    /// Page faults with I/O per second; with --raw, their number since the task started
    Majflt,
    /// Number of users of the address space
    MmUsers,
    /// Number of the sampling instant
    Seq,
    /// Start time of the task in nanoseconds since boot
    Start,
    /// Number of samples missing before this one
    Lost,
    /// User CPU time in nanoseconds since the task started
    UsrNs,
    /// System CPU time in nanoseconds since the task started
    SysNs,
    /// Number of page faults without I/O since the task started
    MinfltCount,
    /// Number of page faults with I/O since the task started
    MajfltCount,
    /// Time in nanoseconds over which the rates are computed
    ElapsedNs,
    /// Time in nanoseconds for which the machine was suspended before this sample
    SuspendedNs,
}

/// Show samples, with rates of CPU usage and page faults
///
/// Rates are computed over the actual time between two samples. Across missing samples (column
/// `lost`), no rate is computed. Without a selector, shows all tasks.
///
/// TIME is a duration before now (10m), an RFC 3339 date and time (2026-11-27T16:00:00Z), or
/// seconds since 1970.
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

    /// Only samples taken at this time or later
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,

    /// Only samples taken before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,

    /// Print one line per interval instead of one per sample
    #[arg(long, alias = "every", value_name = "DURATION", value_parser = duration)]
    pub interval: Option<Duration>,

    /// Fields to show, in this order (in kv format, the name is always last)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELD,...")]
    pub fields: Vec<Field>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Show the values from the kernel instead of rates
    #[arg(long, conflicts_with = "interval")]
    pub raw: bool,

    /// Continue with new samples as they are taken
    #[arg(long, short)]
    pub follow: bool,

    /// Read the recording FILE (see `taskmon record`) instead of the module; only PIDs and --name
    /// select its tasks
    #[arg(long, short, value_name = "FILE", conflicts_with = "follow")]
    pub input: Option<PathBuf>,
}

/// Convert a recording to comma-separated values
///
/// Each line is one sample: its time of day and its CLOCK_BOOTTIME, the counters from the kernel
/// (usr_ns, sys_ns, minflt, majflt), the rates since the previous sample, and the number of samples
/// missing before it.
///
/// A recording contains only PIDs and names of tasks, so only PIDs and --name can select them.
#[derive(Debug, Args)]
#[command(
    alias = "export-csv",
    after_help = "\
Examples:
  taskmon csv -i build.rec >build.csv
  taskmon csv -i db.rec --name postgres -o postgres.csv"
)]
pub struct Csv {
    /// Recording to read
    #[arg(long, short, value_name = "FILE")]
    pub input: PathBuf,

    /// File to write instead of stdout
    #[arg(long, short, value_name = "OUT.csv")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub selector: Selector,
}

/// Compare two recordings, optionally with limits for CI
///
/// Compares the tasks of the same name; several tasks of one name are taken together. If each
/// recording has only one name, these two are compared even if they differ. If either recording has
/// several names, all tasks together are compared as well, as (all). A thread of a recorded process
/// is part of its process and adds nothing; select it with --name to compare it.
///
/// Peaks and percentiles are taken over the samples of single tasks. Times and page faults are
/// increases from the first sample of a task to its last.
#[derive(Debug, Args)]
#[command(after_help = "\
Measures: wall, user, system, cpu (both), minflt, majflt, peak_rss, rss_p50, rss_p95, rss_p99, cpu_peak, cpu_p50, \
cpu_p95, cpu_p99.

Exit status: 0 if no measure exceeds its maximum increase; 1 if one does; 2 on an error, or if no task has values of a \
measure with --max-increase in both recordings.

Examples:
  taskmon diff old.rec new.rec
  taskmon diff old.rec new.rec --max-increase cpu=5%+10ms --max-increase peak_rss=10%")]
pub struct Diff {
    /// Earlier recording
    pub before: PathBuf,

    /// Later recording
    pub after: PathBuf,

    /// Compare only tasks with this name; /REGEX/ matches any part of the name
    #[arg(long, value_name = "NAME|/REGEX/", value_parser = OsStringValueParser::new().try_map(Name::parse))]
    pub name: Vec<Name>,

    /// Maximum allowed increase of a measure: a share (10%), an amount (50ms, 1MiB, 100) or their
    /// sum (10%+50ms)
    #[arg(long, alias = "limit", value_name = "MEASURE=INCREASE")]
    pub max_increase: Vec<Limit>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Plot CPU usage, memory and page faults over time
///
/// Writes an SVG picture or, with --ascii, a chart for the terminal. If there are more than 8
/// tasks, the plot shows the 7 with the largest shares of CPU time or memory, and the sum of the
/// others. A thread of a process that is there, too, is in no sum. Long histories are downsampled in a way that keeps peaks. Missing samples leave a gap.
///
/// TIME is a duration before now (10m), an RFC 3339 date and time (2026-11-27T16:00:00Z), or
/// seconds since 1970.
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

    /// Read the recording FILE (see `taskmon record`) instead of the module; only PIDs and --name
    /// select its tasks
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// File to write, replaced atomically; - is stdout
    #[arg(long, short, value_name = "FILE.svg", required_unless_present = "ascii")]
    pub output: Option<PathBuf>,

    /// Plot with text characters, by default to stdout
    ///
    /// Uses UTF-8 if the locale supports it, and colours if stdout is a terminal and NO_COLOR is
    /// not set.
    #[arg(long)]
    pub ascii: bool,

    /// Only samples taken at this time or later
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,

    /// Only samples taken before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,

    /// Title [default: the task, or the number of tasks]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,

    /// Width in pixels [default: 800]; with --ascii, in columns [default: terminal width, or 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(40..=4000))]
    pub width: Option<u32>,

    /// Height in pixels [default: as needed for the tasks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10000), conflicts_with = "ascii")]
    pub height: Option<u32>,
}

/// Export metrics to Prometheus
///
/// There is one series per task name or, with --pid, one per task name and PID. Counters start when
/// taskmon first sees a task, or when the task starts if that is later. A series ends three minutes
/// after the last task of its name has exited. The counters of a new series are 0 in the first scrape
/// of each client, and in the first file, so that rate() and increase() see what they count later.
///
/// A thread of a monitored process adds nothing to the series of its name. With --pid, it has series
/// of its own, with the label process.
///
/// With --listen, anybody who can connect to the address can read the metrics. While the module
/// does not respond, requests fail with HTTP status 503.
///
/// With --textfile, the file is removed when taskmon ends (SIGTERM, SIGINT), while the module does
/// not respond, and when the next version cannot be written.
///
/// While taskmon export runs, the module is in use and rmmod fails.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon export --listen localhost:9898
  taskmon export --textfile /var/lib/prometheus/node-exporter/taskmonitor.prom")]
#[command(group = ArgGroup::new("to").args(["listen", "textfile"]).required(true))]
pub struct Export {
    // The help shows `[::1]` as it is; for rustdoc it would be a link.
    #[allow(rustdoc::broken_intra_doc_links)]
    /// Serve /metrics over HTTP on this host and port until stopped: 127.0.0.1:9898, [::1]:9898,
    /// localhost:9898, or :9898 for all addresses of this machine
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<Listen>,

    /// Write a file for the textfile collector of node_exporter, periodically until stopped
    #[arg(long, value_name = "FILE.prom")]
    pub textfile: Option<PathBuf>,

    /// Time between two writes of the file
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15s", conflicts_with = "listen")]
    pub interval: Duration,

    /// One series per PID, with the label pid, instead of one per task name
    #[arg(long)]
    pub pid: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// CPU usage, highest first
    Cpu,
    /// Resident memory, largest first
    Memory,
    /// Page faults per second, most first
    Faults,
    /// PID, lowest first
    Pid,
    /// Name, from a to z
    Name,
}

/// Show tasks and their history in the terminal
///
/// Shows a table of the tasks, and charts of the selected task over its whole history. The left and
/// right arrow keys move table and charts through time; the key ? lists all keys. This is the
/// default command of taskmon.
///
/// With --batch, or if stdout is not a terminal, prints one frame as text: a header and a table of
/// all tasks, with the rates between the two newest samples. For programs, `taskmon list` has other
/// formats.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon top
  taskmon top --name postgres --sort memory
  taskmon top -i build.rec
  taskmon top --batch | head -n 20
  COLUMNS=120 taskmon top --batch --sort faults >tasks.txt

Environment: NO_COLOR disables colours. COLUMNS is the width of the --batch output (default: terminal width, or 80).")]
pub struct Top {
    #[command(flatten)]
    pub selector: Selector,

    /// Read the recording FILE (see `taskmon record`) instead of the module; only PIDs and --name
    /// select its tasks
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Print one frame as text and exit
    #[arg(long, alias = "once")]
    pub batch: bool,

    /// Sort key at the start; keys change it
    #[arg(long, value_enum, default_value_t = Sort::Cpu)]
    pub sort: Sort,

    /// Minimum time between two updates of the screen; keys update it at once
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

/// Show a summary of a recording
///
/// Shows when and on which system the recording was made, why it ended, whether it is damaged or
/// truncated, and how many samples were lost for which reason. For each task, shows the time span,
/// CPU time, peak memory and lost samples. All formats but table list the lost samples of each task
/// by reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon info -i build.rec
  taskmon info -i build.rec --format ndjson")]
pub struct Info {
    /// Recording to read
    #[arg(long, short, value_name = "FILE")]
    pub input: PathBuf,

    /// Output format; all formats but table contain only the tasks
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Check whether taskmon and the module work, and how to fix problems
///
/// Prints one line per check: ok, note or problem. The line "fix:" after a note or a problem is the
/// command that fixes it. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 if there is no problem; 1 if there is one.")]
pub struct Doctor {}

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taskmon completions bash >/etc/bash_completion.d/taskmon")]
pub struct Completions {
    /// Shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Write the manual pages
#[derive(Debug, Args)]
pub struct Manual {
    /// Directory to write them to
    #[arg(value_name = "DIRECTORY")]
    pub folder: PathBuf,
}

/// Exits as clap does for wrong usage: prints `what` and the usage of `command`.
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
