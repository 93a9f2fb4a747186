// SPDX-License-Identifier: GPL-2.0-only

//! Metrics as text: OpenMetrics 1.0, and Prometheus's own format, which is older.

use std::fmt::Write;
use std::time::Duration;

use crate::metrics::Counters;
use crate::metrics::Group;
use crate::metrics::Groups;
use crate::metrics::Key;

/// A format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's text format 0.0.4, which node_exporter reads, too.
    Text,
}

impl Format {
    /// Its name in HTTP.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What a client that sends `accept` takes, and the plainer of the two if it does not care.
    pub fn accepted(accept: &str) -> Self {
        let (mut open, mut text) = (0.0, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let (mut quality, mut ours) = (1.0, true);
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                match key.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => ours = value.trim().trim_matches('"') == "1.0.0",
                    _ => {}
                }
            }
            // An older OpenMetrics is not what we write; of text/plain there is one version only, for us.
            if kind.eq_ignore_ascii_case("application/openmetrics-text") && ours {
                open = f64::max(open, quality);
            } else if kind.eq_ignore_ascii_case("text/plain") {
                text = f64::max(text, quality);
            }
        }
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Info,
}

/// Writes families of metrics.
struct Families {
    text: String,
    format: Format,
}

impl Families {
    /// Begins the family `name`, which ends with its `unit` if it has one.
    fn family(&mut self, name: &'static str, unit: &str, help: &str, kind: Kind) -> Family<'_> {
        let suffix = match kind {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Info => "_info",
        };
        let (shown, kind) = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => ("", "counter"),
            (Format::OpenMetrics, Kind::Info) => ("", "info"),
            (Format::Text, Kind::Counter) => (suffix, "counter"),
            // Prometheus's format knows no such type.
            (Format::Text, Kind::Info) => (suffix, "gauge"),
            (_, Kind::Gauge) => ("", "gauge"),
        };
        let _ = writeln!(self.text, "# HELP taskmonitor_{name}{shown} {help}");
        let _ = writeln!(self.text, "# TYPE taskmonitor_{name}{shown} {kind}");
        if self.format == Format::OpenMetrics && !unit.is_empty() {
            let _ = writeln!(self.text, "# UNIT taskmonitor_{name} {unit}");
        }
        Family { text: &mut self.text, name, suffix }
    }

    /// A family of a single metric.
    fn single(&mut self, name: &'static str, unit: &str, help: &str, kind: Kind, value: Value) {
        self.family(name, unit, help, kind).metric(&[], value);
    }

    fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

#[derive(Clone, Copy)]
enum Value {
    Count(u64),
    Seconds(Duration),
}

/// `time` to the nanosecond: a sum of seconds and their parts in floating point can be another number than the nearest.
fn seconds(time: Duration) -> String {
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    suffix: &'static str,
}

impl Family<'_> {
    fn metric(&mut self, labels: &[(&str, &str)], value: Value) {
        let _ = write!(self.text, "taskmonitor_{}{}", self.name, self.suffix);
        for (i, (key, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{key}=\"", if i == 0 { '{' } else { ',' });
            // A task chooses its name itself.
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = match value {
            Value::Count(count) => writeln!(self.text, " {count}"),
            Value::Seconds(time) => writeln!(self.text, " {}", seconds(time)),
        };
    }

    /// A metric of a group, with another label if there is one.
    fn of(&mut self, key: &Key, label: Option<(&str, &str)>, value: Value) {
        let text = |pid: Option<u32>| pid.map(|pid| pid.to_string());
        let (pid, process) = (text(key.pid), text(key.process));
        let mut labels = vec![("name", key.name.as_str())];
        labels.extend(pid.as_deref().map(|pid| ("pid", pid)));
        labels.extend(process.as_deref().map(|process| ("process", process)));
        labels.extend(label);
        self.metric(&labels, value);
    }
}

/// What is told of the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its version.
    pub version: String,
    /// The time between two samples of a task.
    pub period: Duration,
    /// Whether it samples.
    pub sampling: bool,
}

/// What the exporter tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Its CPU time, user and system.
    pub cpu: [Duration; 2],
    /// How often it was asked.
    pub scrapes: u64,
    /// How often it had no answer.
    pub errors: u64,
    /// Samples that it has read.
    pub samples: u64,
    /// How long reading took this time.
    pub duration: Duration,
}

/// The whole text, for a collector that saw the update `seen` of the groups last.
pub fn page(groups: &Groups, seen: u64, module: &Module, own: &Own, format: Format) -> String {
    use Kind::*;
    let count = |value: fn(&Counters) -> u64| move |group: &Group| Value::Count(value(&group.counters_after(seen)));
    let seconds = |value: fn(&Counters) -> u64| {
        move |group: &Group| Value::Seconds(Duration::from_nanos(value(&group.counters_after(seen))))
    };
    let mut families = Families { text: String::new(), format };

    let (user, system) = (seconds(|c| c.usr), seconds(|c| c.sys));
    let mut f = families.family(
        "cpu_seconds",
        "seconds",
        "CPU time of the monitored tasks with this name, since the exporter first saw them.",
        Counter,
    );
    for (key, group) in groups.iter() {
        f.of(key, Some(("mode", "user")), user(group));
        f.of(key, Some(("mode", "system")), system(group));
    }
    let (minor, major) = (count(|c| c.minflt), count(|c| c.majflt));
    let help = "Page faults of the monitored tasks with this name; major faults needed I/O.";
    let mut f = families.family("page_faults", "", help, Counter);
    for (key, group) in groups.iter() {
        f.of(key, Some(("kind", "minor")), minor(group));
        f.of(key, Some(("kind", "major")), major(group));
    }
    let help = "Resident memory of the living monitored tasks with this name, added up: a page that several of them share \
                counts once for each, and hugetlb pages do not count.";
    let mut f = families.family("resident_memory_bytes", "bytes", help, Gauge);
    groups.iter().for_each(|(key, group)| f.of(key, None, Value::Count(group.rss)));
    let help = "Living monitored tasks with this name. A thread whose process is monitored is a part of that: it is not \
                counted, here and in all other metrics with a name.";
    let help_of_each = "Living monitored tasks with this name and PID.";
    let help = if groups.by_pid() { help_of_each } else { help };
    let mut f = families.family("tasks", "", help, Gauge);
    groups.iter().for_each(|(key, group)| f.of(key, None, Value::Count(group.tasks)));
    let mut f = families.family("threads", "", "Threads of the living monitored tasks with this name.", Gauge);
    groups.iter().for_each(|(key, group)| f.of(key, None, Value::Count(group.threads)));
    let mut f = families.family("samples", "", "Samples taken of the tasks with this name.", Counter);
    let taken = count(|c| c.taken);
    groups.iter().for_each(|(key, group)| f.of(key, None, taken(group)));
    let help = "Samples missing from the history of the tasks with this name: missed could not be taken, evicted made \
                room for newer samples, reclaimed were freed when memory was short.";
    let mut f = families.family("samples_lost", "", help, Counter);
    let (missed, evicted, reclaimed) = (count(|c| c.missed), count(|c| c.evicted), count(|c| c.reclaimed));
    for (key, group) in groups.iter() {
        f.of(key, Some(("reason", "missed")), missed(group));
        f.of(key, Some(("reason", "evicted")), evicted(group));
        f.of(key, Some(("reason", "reclaimed")), reclaimed(group));
    }

    let help = "Sampling period: time between two samples of a task.";
    families.single("period_seconds", "seconds", help, Gauge, Value::Seconds(module.period));
    let help = "1 while the module samples, 0 while sampling is stopped.";
    families.single("sampling", "", help, Gauge, Value::Count(module.sampling.into()));
    let help = "Version of the kernel module.";
    families.family("build", "", help, Info).metric(&[("version", &module.version)], Value::Count(1));

    let mut f = families.family("exporter_cpu_seconds", "seconds", "CPU time of the exporter itself.", Counter);
    let [user, system] = own.cpu;
    f.metric(&[("mode", "user")], Value::Seconds(user));
    f.metric(&[("mode", "system")], Value::Seconds(system));
    let help = "Time that the exporter took to read the module for this scrape.";
    families.single("exporter_scrape_duration_seconds", "seconds", help, Gauge, Value::Seconds(own.duration));
    let help = "Scrapes of the exporter, failed ones included.";
    families.single("exporter_scrapes", "", help, Counter, Value::Count(own.scrapes));
    let help = "Scrapes that failed because the module could not be read.";
    families.single("exporter_scrape_errors", "", help, Counter, Value::Count(own.errors));
    let help = "Samples that the exporter has read from the module.";
    families.single("exporter_samples_read", "", help, Counter, Value::Count(own.samples));
    let help = "Version of the exporter.";
    families
        .family("exporter_build", "", help, Info)
        .metric(&[("version", env!("CARGO_PKG_VERSION"))], Value::Count(1));
    families.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use taskmonitor::Task;

    use super::*;

    fn shown(format: Format, by_pid: bool, comm: &str) -> String {
        let task = |usr: u64, taken: u64| {
            let line = format!(
                "pid 7 start 5 state S threads 3 samples 1 taken {taken} evicted 0 reclaimed 0 missed 0 \
                 usr {usr} sys 0 time 5 rss 4096 mm_users 1 comm {comm}"
            );
            [Task::parse(line.as_bytes()).unwrap()]
        };
        let mut groups = Groups::new(by_pid);
        groups.update(&task(0, 1), 1000);
        groups.update(&task(1_500_000_001, 4), 2000);
        let module = Module { version: "0.1.0".to_owned(), period: Duration::from_micros(1500), sampling: true };
        let own = Own {
            cpu: [Duration::from_millis(20), Duration::ZERO],
            scrapes: 2,
            errors: 1,
            samples: 3,
            duration: Duration::from_micros(7),
        };
        page(&groups, u64::MAX, &module, &own, format).replace(env!("CARGO_PKG_VERSION"), "VERSION")
    }

    #[test]
    fn seconds_are_exact() {
        let text = |nanoseconds| seconds(Duration::from_nanos(nanoseconds));
        assert_eq!(text(1_839_615_477), "1.839615477");
        assert_eq!((text(0), text(1), text(10_000_000_000)), ("0".into(), "0.000000001".into(), "10".into()));
        assert_eq!(text(u64::MAX), "18446744073.709551615");
    }

    #[test]
    fn openmetrics() {
        assert_eq!(shown(Format::OpenMetrics, false, "sh"), include_str!("../tests/golden/export.openmetrics"));
    }

    #[test]
    fn prometheus_text() {
        assert_eq!(shown(Format::Text, false, "sh"), include_str!("../tests/golden/export.prom"));
    }

    #[test]
    fn a_name_breaks_out_of_no_label() {
        let text = shown(Format::Text, true, r#"a"} 1 \\134\012,{b="#.replace("\\\\", "\\").as_str());
        let line = text.lines().find(|line| line.starts_with("taskmonitor_tasks")).unwrap();
        assert_eq!(line, "taskmonitor_tasks{name=\"a\\\"} 1 \\\\\u{fffd},{b=\",pid=\"7\"} 1");
    }

    #[test]
    fn what_a_collector_has_not_seen_begins_with_zero() {
        let task = |pid: u32, start: u64, usr: u64, name: &str| {
            let line = format!(
                "pid {pid} start {start} state S threads 3 samples 1 taken 2 evicted 1 reclaimed 1 missed 1 usr {usr} sys {usr} \
                 time 5 rss 4096 mm_users 1 comm {name}"
            );
            Task::parse(line.as_bytes()).unwrap()
        };
        let mut groups = Groups::new(false);
        groups.update(&[task(1, 1, 0, "old")], 1000);
        let seen = groups.updates();
        groups.update(&[task(1, 1, 5_000_000_000, "old"), task(2, 1500, 3_000_000_000, "job")], 2000);
        let module = Module { version: "0".to_owned(), period: Duration::from_secs(1), sampling: true };
        for format in [Format::OpenMetrics, Format::Text] {
            let values = |seen: u64, name: &str| -> Vec<String> {
                let text = page(&groups, seen, &module, &Own::default(), format);
                let of = format!("_total{{name=\"{name}\"");
                let lines = text.lines().filter(|line| line.contains(&of));
                lines.filter_map(|line| Some(line.rsplit_once(' ')?.1.to_owned())).collect()
            };
            assert_eq!(values(seen, "job"), ["0"; 8], "{format:?}");
            assert_eq!(values(seen, "old"), ["5", "5", "0", "0", "0", "0", "0", "0"]);
            assert_eq!(values(groups.updates(), "job"), ["3", "3", "0", "0", "2", "1", "1", "1"]);
        }
    }

    #[test]
    fn a_thread_has_a_label_of_its_own() {
        let line = "pid 8 start 5 state S threads 1 samples 1 taken 1 evicted 0 reclaimed 0 missed 0 usr 0 sys 0 time 5 \
                    rss 4096 mm_users 1 tgid 7 comm app";
        let mut groups = Groups::new(true);
        groups.update(&[Task::parse(line.as_bytes()).unwrap()], 1000);
        let module = Module { version: "0".to_owned(), period: Duration::from_secs(1), sampling: true };
        let text = page(&groups, 1, &module, &Own::default(), Format::Text);
        assert!(text.contains("\ntaskmonitor_tasks{name=\"app\",pid=\"8\",process=\"7\"} 1\n"), "{text}");
    }

    #[test]
    fn what_clients_accept() {
        // As Prometheus 2.42 and 3.5 send it, then others.
        for (accept, format) in [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\" ; Q = 0.5", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.3", Format::Text),
            ("application/openmetrics-text; version=0.0.1", Format::Text),
            ("application/openmetrics-text; q=0", Format::Text),
            ("application/openmetrics-text; q=much", Format::Text),
            ("text/plain", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("", Format::Text),
            (";;,,=;q=;", Format::Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
