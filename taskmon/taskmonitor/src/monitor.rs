// SPDX-License-Identifier: GPL-2.0-only

//! The module as a whole.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::time::Duration;

use crate::Command;
use crate::Error;
use crate::Follow;
use crate::Root;
use crate::Task;

/// The longest line that is looked at; the module's are below 500 bytes.
const LONGEST_LINE: u64 = 1 << 16;

/// The loaded module.
#[derive(Clone, Debug)]
pub struct Monitor {
    root: Root,
}

impl Monitor {
    /// Returns a handle to the loaded module.
    ///
    /// Does not check permissions: the methods fail if access is denied.
    ///
    /// # Errors
    ///
    /// [`Error::NotLoaded`] if the module is not loaded.
    pub fn open(root: Root) -> Result<Self, Error> {
        if !root.module().exists() {
            return Err(Error::NotLoaded);
        }
        Ok(Self { root })
    }

    /// Returns the root directory of the files.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Returns the version of the module.
    pub fn version(&self) -> Result<String, Error> {
        let path = self.root.module().join("version");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&self.root, &path, e))?;
        Ok(text.trim_end().to_owned())
    }

    /// Sends a command to the module, through sysfs, which also works under kernel lockdown.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the module refuses the command; its [`Reason`](crate::Reason) says
    /// why.
    pub fn send(&self, command: Command) -> Result<(), Error> {
        let path = self.root.sysfs();
        let mut file = OpenOptions::new().write(true).open(&path).map_err(|e| Error::io(&self.root, &path, e))?;
        file.write_all(format!("{command}\n").as_bytes()).map_err(|e| Error::refused(&self.root, command, e))
    }

    /// Passes each monitored task to `take`, in the order in which the tasks were added.
    pub fn each_task(&self, mut take: impl FnMut(Task)) -> Result<(), Error> {
        let path = self.root.tasks();
        let failed = |e: io::Error| Error::io(&self.root, &path, e);
        let mut file = BufReader::with_capacity(1 << 16, File::open(&path).map_err(failed)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(failed)?;
            if line.is_empty() {
                return Ok(());
            }
            take(Task::parse(&line).map_err(|e| Error::line(&path, &line, e))?);
        }
    }

    /// Returns all monitored tasks, in the order in which they were added.
    pub fn tasks(&self) -> Result<Vec<Task>, Error> {
        let mut tasks = Vec::new();
        self.each_task(|task| tasks.push(task))?;
        Ok(tasks)
    }

    /// The samples, from the oldest on.
    pub fn follow(&self) -> Result<Follow, Error> {
        Follow::open(&self.root)
    }

    /// The value of a parameter of the module, as the kernel shows it.
    pub fn parameter(&self, name: &str) -> Result<String, Error> {
        let path = self.root.parameter(name);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&self.root, &path, e))?;
        Ok(text.trim_end().to_owned())
    }

    fn set_parameter(&self, name: &str, value: &str) -> Result<(), Error> {
        let path = self.root.parameter(name);
        // (The files of a test are longer than what is written to them.)
        let write = || OpenOptions::new().write(true).truncate(true).open(&path)?.write_all(value.as_bytes());
        write().map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput => Error::Parameter { path: path.clone(), value: value.to_owned() },
            _ => Error::io(&self.root, &path, e),
        })
    }

    /// Returns the period: the time between two samples of a task.
    pub fn period(&self) -> Result<Duration, Error> {
        let value = self.parameter("period_us")?;
        match value.parse() {
            Ok(us) => Ok(Duration::from_micros(us)),
            Err(_) => Err(Error::Parameter { path: self.root.parameter("period_us"), value }),
        }
    }

    /// Sets the period, for all monitored tasks.
    ///
    /// The period is rounded down to microseconds. The module accepts 100 us to 1 hour.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] if the period is out of range.
    pub fn set_period(&self, period: Duration) -> Result<(), Error> {
        self.set_parameter("period_us", &period.as_micros().to_string())
    }

    /// Returns whether sampling is on.
    pub fn sampling(&self) -> Result<bool, Error> {
        Ok(self.parameter("sampling")? == "Y")
    }
}
