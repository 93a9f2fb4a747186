// SPDX-License-Identifier: GPL-2.0-only

//! The terminal: taken, and given back as it was, whatever ends taskmon.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crossterm::cursor;
use crossterm::queue;
use crossterm::style;
use crossterm::terminal;
use procfs::process::Process;
use ratatui::Frame;
use ratatui::Terminal;
use ratatui::TerminalOptions;
use ratatui::Viewport;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use signal_hook::consts::SIGCONT;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGQUIT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGTSTP;
use signal_hook::consts::SIGWINCH;
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::Failure;

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Gives the terminal back, as far as it goes: this is for the end, where nothing can be done about errors.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = queue!(out, style::ResetColor, style::SetAttribute(style::Attribute::Reset), cursor::Show);
    let _ = queue!(out, terminal::LeaveAlternateScreen);
    let _ = out.flush();
    let _ = terminal::disable_raw_mode();
}

/// Takes the terminal. (First the mode: whoever is in the background is stopped by that, before anything is drawn.)
fn take() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let mut out = io::stdout();
    queue!(out, terminal::EnterAlternateScreen, cursor::Hide)?;
    out.flush()
}

/// Of a terminal that does not say how large it is, as on a serial line.
const USUAL: Rect = Rect { x: 0, y: 0, width: 80, height: 24 };

/// How large the terminal is, if it says so.
fn size() -> Option<Rect> {
    let (width, height) = terminal::size().ok()?;
    (width > 0 && height > 0).then_some(Rect { x: 0, y: 0, width, height })
}

/// The screen of a terminal, and its keys.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<File>>,
    // What is drawn on, of a terminal that did not say at first how large it is.
    area: Option<Rect>,
    keys: File,
}

impl Screen {
    /// Takes the terminal on stdout, and its keys from stdin, if that is one, too.
    pub fn open() -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::other("cannot use the terminal", e);
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return Err(Failure::Other(
                "this terminal (TERM=dumb) cannot be drawn on; taskmon top --batch writes a frame as text".to_owned(),
            ));
        }
        let stdin = io::stdin();
        let keys = if stdin.is_terminal() {
            stdin.as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::open("/dev/tty")
        };
        let keys =
            keys.map_err(|e| Failure::other("there is no terminal for the keys; try taskmon top --batch", e))?;
        let out = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
        // What panics says so on a terminal that is sound.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            hook(info);
        }));
        take().map_err(failed)?;
        let (viewport, area) = match size() {
            Some(_) => (Viewport::Fullscreen, None),
            None => (Viewport::Fixed(USUAL), Some(USUAL)),
        };
        let backend = CrosstermBackend::new(File::from(out));
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport });
        // (As nothing has been drawn, the screen need not be cleared.)
        terminal.map(|terminal| Self { terminal, area, keys }).map_err(|e| {
            give_back();
            failed(e)
        })
    }

    /// Draws what has changed.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if let Some((area, now)) = self.area.as_mut().zip(size()).filter(|(area, now)| **area != *now) {
            *area = now;
            self.terminal.resize(now)?;
        }
        self.terminal.draw(draw).map(|_| ())
    }

    /// Reads what was typed, of which there must be something. Nothing: the terminal has gone.
    pub fn read<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        loop {
            match self.keys.read(buffer) {
                Ok(read) => return Ok(buffer.get(..read).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Gives the terminal back for a while.
    pub fn leave(&mut self) {
        give_back();
    }

    /// Takes it again, in whatever state it is.
    pub fn again(&mut self) -> io::Result<()> {
        // (Of one that is ours still, whoever stopped us may have changed the mode: that is set anew.)
        let _ = terminal::disable_raw_mode();
        take()?;
        self.terminal.clear()
    }
}

impl AsFd for Screen {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.keys.as_fd()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whether an error says that the terminal is not there any more.
pub fn has_gone(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EIO | Errno::ENXIO | Errno::ENODEV | Errno::EPIPE | Errno::EBADF))
}

/// The signals that have come. None of them ends taskmon by itself, so that the terminal is given back before.
pub struct Signals {
    end: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    go_on: Arc<AtomicBool>,
    // Each writes a byte into it.
    woken: UnixStream,
}

impl Signals {
    /// From now on.
    pub fn new() -> Result<Self, Failure> {
        let register = || {
            let (woken, wake) = UnixStream::pair()?;
            woken.set_nonblocking(true)?;
            let [end, stop, go_on] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
            for (signal, what) in [
                (SIGTERM, &end),
                (SIGINT, &end),
                (SIGHUP, &end),
                (SIGQUIT, &end),
                (SIGTSTP, &stop),
                (SIGCONT, &go_on),
            ] {
                flag::register(signal, Arc::clone(what))?;
                pipe::register(signal, wake.try_clone()?)?;
            }
            pipe::register(SIGWINCH, wake)?;
            Ok(Self { end, stop, go_on, woken })
        };
        register().map_err(|e: io::Error| Failure::other("cannot set up signal handling", e))
    }

    /// Takes note of those that woke us.
    pub fn drain(&mut self) {
        let mut buffer = [0; 64];
        while self.woken.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }

    /// Whether to end.
    pub fn end(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether to stop, asked once.
    pub fn stop(&self) -> bool {
        self.stop.swap(false, Ordering::Relaxed)
    }

    /// Whether it goes on after a stop, asked once.
    pub fn goes_on(&self) -> bool {
        self.go_on.swap(false, Ordering::Relaxed)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}

/// Whether somebody is there who can let us go on once we are stopped: a shell with job control, above our process
/// group, but of our session. (The kernel asks for the same before it stops anybody by SIGTSTP.)
pub fn can_stop() -> bool {
    let stat = |pid| Process::new(pid).and_then(|process| process.stat()).ok();
    let Ok(this) = Process::myself().and_then(|process| process.stat()) else { return false };
    let mut parent = this.ppid;
    // As many as may be between sudo, env and the like.
    for _ in 0..32 {
        match stat(parent) {
            Some(above) if above.session != this.session => return false,
            Some(above) if above.pgrp == this.pgrp => parent = above.ppid,
            Some(_) => return true,
            None => return false,
        }
    }
    false
}
