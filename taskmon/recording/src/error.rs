// SPDX-License-Identifier: GPL-2.0-only

//! Errors.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::VERSION;

/// Why a recording cannot be read.
///
/// [`Display`](std::fmt::Display) says in one line what failed and, if there is one, how to fix it.
/// A damaged recording is not an error: see [`Damage`](crate::Damage).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not a recording.
    #[error("{} is not a recording of taskmon", .0.display())]
    NotOne(PathBuf),
    /// The file has a newer format version.
    #[error(
        "cannot read {}: it has format version {version}, and this taskmon reads versions up to {VERSION}; \
         use a newer taskmon",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format version of the file.
        version: u32,
    },
    /// The recording has no head, and so no content.
    #[error("{} is empty: the recording ended before its head was written, or all of the file is damaged", .0.display())]
    Nothing(PathBuf),
    /// Another I/O error.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }
}
