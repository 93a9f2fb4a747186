// SPDX-License-Identifier: GPL-2.0-only

//! Pictures of what was recorded. `figure` gathers what there is to draw, `axes` and `layout` say where it goes, `svg` and
//! `ascii` draw it; only what is here reads and writes.

mod axes;
mod figure;
mod layout;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub use figure::Picture;
