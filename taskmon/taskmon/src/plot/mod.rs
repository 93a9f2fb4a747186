// SPDX-License-Identifier: GPL-2.0-only

//! `taskmon plot`: pictures of what was recorded. `figure` gathers what there is to draw, `axes` and `layout` say where it goes,
//! `svg` and `ascii` draw it; only what is here reads and writes.

mod ascii;
mod axes;
mod figure;
mod layout;
mod svg;
mod text;

#[cfg(test)]
mod tests;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;

use ascii::Terminal;
pub use figure::Picture;

use crate::Failure;
use crate::cli;
use crate::cli::Plot;
use crate::output;
use crate::signals::Stop;
use crate::source::Source;
use crate::times::Bound;

/// As wide as the text of a page.
const WIDTH: u32 = 800;
/// Below this, there is no room for a plot beside its labels.
const NARROWEST: u32 = 480;
/// Of a terminal that does not say.
const COLUMNS: u32 = 80;

/// Ends taskmon if what is asked for cannot be, whatever was recorded.
pub fn demand(args: &Plot) {
    let narrow = args.width.filter(|&width| !args.ascii && width < NARROWEST);
    if let Some(width) = narrow {
        cli::mistake("plot", &format!("--width {width} is too small: a picture is at least {NARROWEST} pixels wide"));
    }
}

/// In how many spans of time a picture that is so wide shows the past: about one a pixel of the plot.
fn fine(width: u32) -> usize {
    width as usize * 3 / 4
}

/// A picture for what `taskmon run` sees.
pub fn of_run(clock: crate::times::Clock, title: String) -> Picture {
    Picture::new(clock, Some(title), fine(WIDTH))
}

/// Writes such a picture. Says so if there is nothing to show.
pub fn write(picture: Picture, path: &Path) -> Result<(), Failure> {
    let figure = picture
        .finish()
        .ok_or_else(|| Failure::Other(format!("{}: not written, as there are no samples", path.display())))?;
    // (It is as high as it must be.)
    let svg = svg::draw(&figure, WIDTH, None).unwrap_or_default();
    output::replace(path, svg.as_bytes()).map_err(|e| Failure::other(format!("cannot write {}", path.display()), e))
}

/// `taskmon plot`, of what `open` gives, whenever it is called.
pub fn plot(open: impl Fn() -> Result<Source, Failure>, args: &Plot) -> Result<(), Failure> {
    let stdout = args.output.as_ref().is_none_or(|output| output.as_os_str() == "-");
    if let Some(path) = args.output.as_ref().filter(|_| !stdout) {
        // Not after all has been read.
        output::replaceable(path).map_err(|e| Failure::other(format!("cannot write {}", path.display()), e))?;
    }
    let terminal = stdout && io::stdout().is_terminal();
    let columns = || terminal_size::terminal_size().map(|(width, _)| u32::from(width.0));
    let width = match (args.width, args.ascii) {
        (Some(width), _) => width,
        (None, true) => columns().filter(|_| terminal).unwrap_or(COLUMNS).clamp(40, 200),
        (None, false) => WIDTH,
    };
    let stop = Stop::new()?;
    let source = open()?;
    let clock = source.clock();
    // Of a terminal, each column is several spans, whose mean is exact only if they are finer than it.
    let fine = if args.ascii { 4 * width as usize } else { fine(width) };
    let mut picture = Picture::new(clock, args.title.clone(), fine);
    let mut source = Some(source);
    loop {
        let source = source.take().map_or_else(&open, Ok)?;
        // (It learns of what became of the clock while it is read.)
        let clock = source.clock();
        picture.by_clock(clock.clone());
        let bounds = (args.since.map(|moment| clock.bound(moment)), args.until.map(|moment| clock.bound(moment)));
        gather(source, &mut picture, args, &bounds, &stop)?;
        match picture.again() {
            Some(again) => picture = again,
            None => break,
        }
    }
    let figure = picture
        .finish()
        .ok_or_else(|| Failure::Other("nothing to draw: no samples of these tasks in this time range".to_owned()))?;
    let text = if args.ascii {
        let utf8 = utf8(|name| std::env::var_os(name));
        // (See no-color.org.)
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        ascii::draw(
            &figure,
            Terminal { columns: width as usize, utf8, colour: terminal && !dumb && !set("NO_COLOR") },
        )
    } else {
        svg::draw(&figure, width, args.height).map_err(|needed| {
            Failure::Other(format!("--height is too small for this many tasks and panels: use {needed} or more"))
        })?
    };
    match args.output.as_deref().filter(|_| !stdout) {
        Some(path) => output::replace(path, text.as_bytes())
            .map_err(|e| Failure::other(format!("cannot write {}", path.display()), e)),
        None => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Failure::output(&e))
        }
    }
}

/// Gives all that `source` has to `picture`.
fn gather(
    mut source: Source,
    picture: &mut Picture,
    args: &Plot,
    (since, until): &(Option<Bound>, Option<Bound>),
    stop: &Stop,
) -> Result<(), Failure> {
    if args.input.is_none() {
        source.demand()?;
    }
    let mut series = source.series(None);
    while !stop.asked() {
        let read = source.read_known(|sample, known| {
            // As in show: what was before is not shown, but is what a rate begins from.
            if until.as_ref().is_none_or(|until| !until.reached(sample.time)) {
                series.push(*sample, |point| {
                    if since.as_ref().is_none_or(|since| since.reached(point.sample.time)) {
                        picture.push_part(&point, known.name.as_deref(), known.process);
                    }
                });
            }
        });
        if !read? {
            return source.demand();
        }
    }
    Err(Failure::Other("interrupted before all samples were read: nothing is drawn".to_owned()))
}

/// Whether the locale has UTF-8.
fn utf8(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| variable(name)).find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.ends_with("utf-8") || locale.ends_with("utf8") || locale.contains("utf-8@") || locale.contains("utf8@")
    })
}
