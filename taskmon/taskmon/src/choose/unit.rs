// SPDX-License-Identifier: GPL-2.0-only

//! Control groups, and the units of systemd that they belong to.
//!
//! systemd has one control group for each running unit that has processes, named as the unit, below those of the slices that
//! the unit is in. A user's manager is itself a unit (`user@1000.service`), and has the user's units below it; a container
//! can have a manager, too. So a unit's name can occur anywhere in a path, and can mean several units.

use std::fmt::Write;

/// The types of units. Not all of them have processes.
const TYPES: [&str; 11] = [
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
];

/// Where the control groups are mounted.
const MOUNTED_ON: &str = "/sys/fs/cgroup/";

/// A unit to look for.
#[derive(Debug)]
pub enum Unit {
    /// The unit of this name.
    Named(String),
    /// All instances of a template: the name up to the @, and the type.
    Instances(String, &'static str),
    /// The slice that has all others in it.
    Root,
}

impl Unit {
    /// Understands a unit as systemctl does: `ssh` is `ssh.service`, `/mnt/data` is `mnt-data.mount`, and a character that a
    /// name cannot have is escaped. `getty@` and `getty@.service` mean all instances of the template.
    pub fn new(text: &str) -> Self {
        let text = if text.starts_with('/') { escaped_path(text) + ".mount" } else { escaped(text) };
        let kind = TYPES.into_iter().find(|kind| text.len() > kind.len() && text.ends_with(kind));
        let stem = kind.and_then(|kind| text.strip_suffix(kind)).unwrap_or(&text);
        let kind = kind.unwrap_or(".service");
        match (stem, kind) {
            ("-", ".slice") => Self::Root,
            _ if stem.ends_with('@') => Self::Instances(stem.to_owned(), kind),
            _ => Self::Named(format!("{stem}{kind}")),
        }
    }

    /// The control group of this unit that `group` is, or is below.
    pub fn group<'a>(&self, group: &'a str) -> Option<&'a str> {
        if matches!(self, Self::Root) {
            return Some("/");
        }
        let mut end = 0;
        for part in group.split_inclusive('/') {
            end += part.len();
            if self.is(part.strip_suffix('/').unwrap_or(part)) {
                return group.get(..end).map(|group| group.strip_suffix('/').unwrap_or(group));
            }
        }
        None
    }

    fn is(&self, part: &str) -> bool {
        // systemd puts an underscore before names that would be those of files in the folder of a control group.
        let name = part.strip_prefix('_').unwrap_or(part);
        let is = |name: &str| match self {
            Self::Named(unit) => name == unit,
            Self::Instances(stem, kind) => name
                .strip_prefix(stem.as_str())
                .and_then(|name| name.strip_suffix(kind))
                .is_some_and(|name| !name.is_empty()),
            Self::Root => false,
        };
        is(name) || is(part)
    }

    /// Whether there is one unit of this name in each manager at most.
    pub fn is_one(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}

/// A name in which systemd's escapes stand for the characters that it cannot have.
fn escaped(text: &str) -> String {
    escape(text.as_bytes(), |byte| matches!(byte, b':' | b'-' | b'_' | b'.' | b'\\' | b'@'))
}

/// The name of a path, without its type.
fn escaped_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        return "-".to_owned();
    }
    let name = escape(parts.join("/").as_bytes(), |byte| matches!(byte, b':' | b'_' | b'.'));
    name.strip_prefix('.').map(|rest| format!("\\x2e{rest}")).unwrap_or(name)
}

fn escape(bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> String {
    let mut name = String::new();
    for &byte in bytes {
        match byte {
            b'/' => name.push('-'),
            _ if byte.is_ascii_alphanumeric() || is_plain(byte) => name.push(char::from(byte)),
            // (A String takes all.)
            _ => _ = write!(name, "\\x{byte:02x}"),
        }
    }
    name
}

/// The path of a control group as in /proc/PID/cgroup.
pub fn path(text: &str) -> String {
    let text = text
        .strip_prefix(MOUNTED_ON.trim_end_matches('/'))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        .unwrap_or(text);
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

/// Whether the control group `group` is `other` or below it.
pub fn is_below(group: &str, other: &str) -> bool {
    other == "/" || group.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The paths of the control groups of a process, from its file `cgroup` in /proc: one of each hierarchy.
pub fn groups(file: &[u8]) -> Vec<String> {
    let lines = file.split(|&byte| byte == b'\n');
    let paths = lines.filter_map(|line| line.splitn(3, |&byte| byte == b':').nth(2));
    // That of a process that has ended can have been removed.
    paths.map(|path| String::from_utf8_lossy(path.strip_suffix(b" (deleted)").unwrap_or(path)).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group<'a>(unit: &str, group: &'a str) -> Option<&'a str> {
        Unit::new(unit).group(group)
    }

    #[test]
    fn names_of_units() {
        let name = |text: &str| match Unit::new(text) {
            Unit::Named(name) => name,
            Unit::Instances(stem, kind) => format!("{stem}*{kind}"),
            Unit::Root => "/".to_owned(),
        };
        for (text, unit) in [
            ("ssh", "ssh.service"),
            ("ssh.service", "ssh.service"),
            ("session-1.scope", "session-1.scope"),
            ("user-1000.slice", "user-1000.slice"),
            ("dbus.socket", "dbus.socket"),
            ("mnt-data.mount", "mnt-data.mount"),
            ("dev-sda2.swap", "dev-sda2.swap"),
            ("org.example.Daemon", "org.example.Daemon.service"),
            ("user@1000", "user@1000.service"),
            ("getty@", "getty@*.service"),
            ("getty@.service", "getty@*.service"),
            ("app-foo@.scope", "app-foo@*.scope"),
            ("-.slice", "/"),
            (".slice", ".slice.service"),
            // As `systemctl status` does it.
            ("foo bar", "foo\\x20bar.service"),
            ("system-serial\\x2dgetty.slice", "system-serial\\x2dgetty.slice"),
            ("é", "\\xc3\\xa9.service"),
            // As `systemd-escape --path` does it.
            ("/mnt/data", "mnt-data.mount"),
            ("/run/user/1000/", "run-user-1000.mount"),
            ("/mnt/a b-c//d", "mnt-a\\x20b\\x2dc-d.mount"),
            ("/.snapshots", "\\x2esnapshots.mount"),
            ("/", "-.mount"),
        ] {
            assert_eq!(name(text), unit, "{text}");
        }
    }

    #[test]
    fn control_groups_of_units() {
        let ssh = "/system.slice/ssh.service";
        assert_eq!(group("ssh", ssh), Some(ssh));
        assert_eq!(group("ssh", "/system.slice/ssh.service/a/b"), Some(ssh));
        assert_eq!(group("system.slice", ssh), Some("/system.slice"));
        assert_eq!(group("-.slice", ssh), Some("/"));
        assert_eq!(group("-.slice", "/"), Some("/"));
        assert_eq!(group("sh", ssh), None);
        assert_eq!(group("system", ssh), None);
        assert_eq!(group("ssh.socket", ssh), None);
        let getty = "/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service";
        assert_eq!(group("serial-getty@ttyS0", getty), Some(getty));
        assert_eq!(group("serial-getty@", getty), Some(getty));
        assert_eq!(group("getty@", getty), None);
        assert_eq!(group("serial-getty@", "/serial-getty@.service"), None);
        assert_eq!(group("serial-getty", getty), None);
        assert_eq!(
            group("system-serial\\x2dgetty.slice", getty),
            Some("/system.slice/system-serial\\x2dgetty.slice")
        );
        assert_eq!(group("system-serial-getty.slice", getty), None);
        let app = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-a\\x2db-7.scope";
        assert_eq!(group("app-a\\x2db-7.scope", app), Some(app));
        assert_eq!(group("user@1000", app), Some("/user.slice/user-1000.slice/user@1000.service"));
        assert_eq!(group("user@", app), Some("/user.slice/user-1000.slice/user@1000.service"));
        // What would be a file of the control group.
        assert_eq!(group("cpu", "/system.slice/_cpu.service"), Some("/system.slice/_cpu.service"));
        assert_eq!(group("_a", "/system.slice/__a.service"), Some("/system.slice/__a.service"));
        assert_eq!(group("_a", "/system.slice/_a.service"), Some("/system.slice/_a.service"));
    }

    #[test]
    fn paths() {
        for text in ["/a/b", "a/b", "a//b/", "/sys/fs/cgroup/a/b", "/sys/fs/cgroup//a/b/"] {
            assert_eq!(path(text), "/a/b", "{text}");
        }
        assert_eq!(path("/"), "/");
        assert_eq!(path("/sys/fs/cgroup"), "/");
        assert_eq!(path("/sys/fs/cgroups"), "/sys/fs/cgroups");
        assert!(is_below("/a/b", "/a") && is_below("/a", "/a") && is_below("/", "/"));
        assert!(!is_below("/ab", "/a") && !is_below("/", "/a"));
        let file = b"12:pids:/a\n1:name=systemd:/a:b\xff\n0::/c.service (deleted)\n";
        assert_eq!(groups(file), ["/a", "/a:b\u{fffd}", "/c.service"]);
        assert!(groups(b"").is_empty());
    }
}
