// SPDX-License-Identifier: GPL-2.0-only

//! What can go wrong.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::VERSION;

/// Why a recording cannot be read. Each [`Display`](std::fmt::Display) says in one sentence what, and what mends it if anything
/// does. (Of damage there is no error: see [`Damage`](crate::Damage).)
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no recording.
    #[error("{} is no recording of taskmon", .0.display())]
    NotOne(PathBuf),
    /// It is of a later version.
    #[error("{} is a recording of version {version}, and this taskmon knows those up to {VERSION}: take a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// There is nothing in it, not even its head.
    #[error("{} ended before its recording had begun, or all of it is damaged: there is nothing in it", .0.display())]
    Nothing(PathBuf),
    /// Anything else.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }
}
