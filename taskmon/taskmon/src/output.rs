// SPDX-License-Identifier: GPL-2.0-only

//! Records, and how they are written.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use taskmonitor_recording::is_recording;

use crate::cli::Format;

/// A value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// There is none.
    None,
    /// A count, bytes or nanoseconds.
    Count(u64),
    /// A rate or a share.
    Rate(f64),
    /// A word or a name.
    Text(Cow<'a, str>),
}

impl From<u64> for Value<'_> {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Value<'_> {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<Option<f64>> for Value<'_> {
    fn from(rate: Option<f64>) -> Self {
        rate.filter(|rate| rate.is_finite()).map_or(Self::None, Self::Rate)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

/// A column of a table, and a key elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The key, with its unit.
    pub key: &'static str,
    /// The head of the table.
    pub head: &'static str,
    /// How wide the column of the table is. 0 is for the last, which takes what it needs.
    pub width: usize,
    /// How the table shows it.
    pub shown: Shown,
}

/// How a table shows a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As it is, to the right; a rate with two digits behind the point.
    Number,
    /// To the left.
    Text,
    /// As KiB, MiB, ...
    Bytes,
}

/// Writes records in one of the formats. Each goes out whole: `out` is flushed between records only.
pub struct Writer<W> {
    out: W,
    format: Format,
    columns: Vec<Column>,
    line: String,
    begun: bool,
}

/// Above this, what has been gathered goes out.
const GATHERED: usize = 1 << 16;
/// No column is wider.
const BLANKS: &str = "                        ";

impl<W: Write> Writer<W> {
    /// Writes records of `columns` to `out`.
    pub fn new(out: W, format: Format, columns: Vec<Column>) -> Self {
        Self { out, format, columns, line: String::new(), begun: false }
    }

    /// Takes a record, with a value for each column.
    pub fn record(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.head();
        match self.format {
            Format::Table => self.table(values),
            Format::Csv => self.csv(values),
            Format::Ndjson => self.ndjson(values),
            Format::Kv => self.kv(values),
        }
        self.line.push('\n');
        if self.line.len() < GATHERED { Ok(()) } else { self.flush() }
    }

    /// Takes a remark, for people only.
    pub fn remark(&mut self, text: &str) {
        if self.format == Format::Table {
            self.head();
            self.line.push_str(text);
            self.line.push('\n');
        }
    }

    /// Writes what has been gathered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.head();
        let written = self.out.write_all(self.line.as_bytes()).and_then(|()| self.out.flush());
        self.line.clear();
        written
    }

    fn head(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        match self.format {
            Format::Table => {
                let heads: Vec<Value<'_>> = self.columns.iter().map(|c| c.head.into()).collect();
                self.table(&heads);
                self.line.push('\n');
            }
            Format::Csv => {
                let keys: Vec<&str> = self.columns.iter().map(|c| c.key).collect();
                self.line.push_str(&keys.join(","));
                self.line.push('\n');
            }
            Format::Ndjson | Format::Kv => {}
        }
    }

    fn table(&mut self, values: &[Value<'_>]) {
        for (i, (column, value)) in self.columns.iter().zip(values).enumerate() {
            if i > 0 {
                self.line.push(' ');
            }
            let begin = self.line.len();
            match (value, column.shown) {
                (Value::None, _) => self.line.push('-'),
                (Value::Count(count), Shown::Bytes) => bytes_to(&mut self.line, *count),
                (Value::Count(count), _) => self.line.push_str(itoa::Buffer::new().format(*count)),
                (Value::Rate(rate), _) => decimal(&mut self.line, *rate, 2),
                (Value::Text(text), _) => self.line.push_str(text),
            }
            let shown = self.line.get(begin..).unwrap_or_default();
            let pad = column.width.saturating_sub(if shown.is_ascii() { shown.len() } else { shown.chars().count() });
            let pad = BLANKS.get(..pad).unwrap_or(BLANKS);
            match column.shown {
                Shown::Text => self.line.push_str(pad),
                Shown::Number | Shown::Bytes => self.line.insert_str(begin, pad),
            }
        }
        self.line.truncate(self.line.trim_end_matches(' ').len());
    }

    fn csv(&mut self, values: &[Value<'_>]) {
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.line.push(',');
            }
            match value {
                Value::Text(text) if text.contains([',', '"', '\n', '\r']) => {
                    let _ = write!(self.line, "\"{}\"", text.replace('"', "\"\""));
                }
                value => plain(&mut self.line, value, ""),
            }
        }
    }

    fn ndjson(&mut self, values: &[Value<'_>]) {
        for (i, (column, value)) in self.columns.iter().zip(values).enumerate() {
            self.line.push_str(if i == 0 { "{\"" } else { ",\"" });
            self.line.push_str(column.key);
            self.line.push_str("\":");
            match value {
                Value::Text(text) => self.line.push_str(&serde_json::Value::from(&**text).to_string()),
                value => plain(&mut self.line, value, "null"),
            }
        }
        self.line.push('}');
    }

    // What is not there has no pair. A name is last, and may have blanks.
    fn kv(&mut self, values: &[Value<'_>]) {
        let mut first = true;
        for (column, value) in self.columns.iter().zip(values) {
            if *value == Value::None {
                continue;
            }
            if !std::mem::replace(&mut first, false) {
                self.line.push(' ');
            }
            self.line.push_str(column.key);
            self.line.push(' ');
            plain(&mut self.line, value, "");
        }
    }
}

fn plain(line: &mut String, value: &Value<'_>, none: &str) {
    match value {
        Value::None => line.push_str(none),
        Value::Count(count) => line.push_str(itoa::Buffer::new().format(*count)),
        Value::Rate(rate) => decimal(line, *rate, 3),
        Value::Text(text) => line.push_str(text),
    }
}

/// As `{:.N}` does for up to three `digits`, but faster: a follower writes a hundred thousand of them a second.
fn decimal(line: &mut String, value: f64, digits: usize) {
    let scale = [1, 10, 100, 1000].get(digits).copied().filter(|_| (0.0..1e12).contains(&value));
    // Beyond that, thousandths are not exact any more.
    let Some(scale) = scale else {
        let _ = write!(line, "{value:.digits$}");
        return;
    };
    let scaled = (value * scale as f64).round() as u64;
    line.push_str(itoa::Buffer::new().format(scaled / scale));
    line.push('.');
    // The 1 in front keeps the zeros behind it.
    line.push_str(itoa::Buffer::new().format(scale + scaled % scale).get(1..).unwrap_or_default());
}

/// `512B`, `1.5KiB`, ...
fn bytes_to(line: &mut String, count: u64) {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        line.push_str(itoa::Buffer::new().format(count));
        line.push('B');
        return;
    }
    let mut value = count as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // What would be rounded to 1024.0 is one of the next.
    while value >= 1023.95 {
        let Some(next) = units.next() else { break };
        value /= 1024.0;
        unit = Some(next);
    }
    decimal(line, value, 1);
    line.push_str(unit.copied().unwrap_or_default());
}

/// `512B`, `1.5KiB`, ...
pub fn bytes(count: u64) -> String {
    let mut text = String::new();
    bytes_to(&mut text, count);
    text
}

/// `1,234,567`
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 sample`, `2 samples`
pub fn many(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A file of whole lines, also when there is no room for more.
pub struct Whole(File);

impl Whole {
    /// What is written goes to `file`, which ends with a whole line.
    pub fn new(file: File) -> Self {
        Self(file)
    }

    /// The same for stdout, whatever that is.
    pub fn stdout() -> io::Result<Self> {
        io::stdout().as_fd().try_clone_to_owned().map(|fd| Self(fd.into()))
    }

    /// Takes back the last `count` bytes, unless somebody else has written behind them. (What is no file has neither length
    /// nor position.)
    fn take_back(&mut self, count: u64) -> io::Result<()> {
        let end = self.0.stream_position()?;
        let meta = self.0.metadata()?;
        if count > 0 && meta.is_file() && meta.len() == end {
            self.0.set_len(end.saturating_sub(count))?;
            self.0.seek(SeekFrom::Start(end.saturating_sub(count)))?;
        }
        Ok(())
    }
}

impl Write for Whole {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut left = buffer;
        let error = loop {
            match self.0.write(left) {
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break e,
            }
            if left.is_empty() {
                return Ok(buffer.len());
            }
        };
        let written = buffer.get(..buffer.len() - left.len()).unwrap_or_default();
        let half = written.iter().rev().take_while(|&&b| b != b'\n').count();
        let _ = self.take_back(half as u64);
        Err(error)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Fails if `path` is a recording, of whatever version: nothing but `taskmon record` replaces one.
fn spare_recording(path: &Path) -> io::Result<()> {
    let is_file = fs::metadata(path).is_ok_and(|meta| meta.is_file());
    // (What cannot be read may still be written to.)
    let Some(file) = is_file.then(|| File::open(path).ok()).flatten() else { return Ok(()) };
    let mut begins = Vec::new();
    file.take(8).read_to_end(&mut begins)?;
    if begins.len() == 8 && is_recording(&begins) {
        return Err(io::Error::other("the file exists and is a recording; remove it, or use another name"));
    }
    Ok(())
}

/// Creates the file `path`, or empties it if it is there and is no recording.
pub fn create(path: &Path) -> io::Result<File> {
    spare_recording(path)?;
    File::create(path)
}

/// Where `path` leads to if that is a file, or nothing yet: what is neither (a terminal, a pipe, /dev/null) is not to be replaced.
fn place_of(path: &Path) -> io::Result<Option<(PathBuf, Option<fs::Metadata>)>> {
    spare_recording(path)?;
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(Some((path.canonicalize()?, Some(meta)))),
        Ok(_) => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Some((path.to_path_buf(), None))),
        Err(e) => Err(e),
    }
}

/// A new file beside `place`, which can take its place.
fn beside(place: &Path) -> io::Result<(PathBuf, File)> {
    place.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let new = place.with_file_name(format!(".taskmon-{}", std::process::id()));
    // The folder may be another user's, who is not to choose what root writes to: no link is followed.
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
    Ok((new, file))
}

/// Writes `text` to `path`, which then has all of it, or, if that fails, what it had before.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let Some((place, meta)) = place_of(path)? else {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(text);
    };
    let (new, mut file) = beside(&place)?;
    let write = || {
        if let Some(meta) = meta {
            file.set_permissions(meta.permissions())?;
            // (Who may not is the owner from now on.)
            let _ = std::os::unix::fs::fchown(&file, Some(meta.uid()), Some(meta.gid()));
        }
        file.write_all(text)?;
        // That there is no room is said here by some file systems.
        file.sync_all()?;
        fs::rename(&new, &place)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

/// Whether `replace` can be expected to work.
pub fn replaceable(path: &Path) -> io::Result<()> {
    match place_of(path)? {
        Some((place, _)) => beside(&place).and_then(|(new, _)| fs::remove_file(new)),
        // (Who reads a pipe would take the end of that for the end of all.)
        None if fs::metadata(path)?.file_type().is_fifo() => Ok(()),
        None => fs::OpenOptions::new().write(true).open(path).map(|_| ()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { key: "pid", head: "PID", width: 7, shown: Shown::Number },
        Column { key: "rss_bytes", head: "RSS", width: 9, shown: Shown::Bytes },
        Column { key: "cpu_percent", head: "%CPU", width: 7, shown: Shown::Number },
        Column { key: "name", head: "NAME", width: 0, shown: Shown::Text },
    ];

    fn written(format: Format, records: &[[Value<'_>; 4]]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, format, COLUMNS.to_vec());
        for record in records {
            writer.record(record).unwrap();
        }
        writer.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn records() -> [[Value<'static>; 4]; 2] {
        let text = |t: &'static str| Value::from(t);
        [
            [Value::Count(7), Value::Count(1_572_864), Value::Rate(12.3456), text("a \"b\", c")],
            [Value::Count(4_194_303), Value::Count(0), Value::None, text("sh")],
        ]
    }

    #[test]
    fn all_formats() {
        assert_eq!(
            written(Format::Table, &records()),
            "    PID       RSS    %CPU NAME\n      7    1.5MiB   12.35 a \"b\", c\n4194303        0B       - sh\n"
        );
        assert_eq!(
            written(Format::Csv, &records()),
            "pid,rss_bytes,cpu_percent,name\n7,1572864,12.346,\"a \"\"b\"\", c\"\n4194303,0,,sh\n"
        );
        assert_eq!(
            written(Format::Ndjson, &records()),
            "{\"pid\":7,\"rss_bytes\":1572864,\"cpu_percent\":12.346,\"name\":\"a \\\"b\\\", c\"}\n\
             {\"pid\":4194303,\"rss_bytes\":0,\"cpu_percent\":null,\"name\":\"sh\"}\n"
        );
        assert_eq!(
            written(Format::Kv, &records()),
            "pid 7 rss_bytes 1572864 cpu_percent 12.346 name a \"b\", c\npid 4194303 rss_bytes 0 name sh\n"
        );
        assert_eq!(written(Format::Csv, &[]), "pid,rss_bytes,cpu_percent,name\n");
        assert_eq!(written(Format::Ndjson, &[]), "");
    }

    #[test]
    fn records_go_out_whole() {
        struct Whole(usize);
        impl Write for Whole {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                assert!(buffer.ends_with(b"\n"));
                self.0 += 1;
                Ok(buffer.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = Writer::new(Whole(0), Format::Csv, COLUMNS.to_vec());
        for _ in 0..10_000 {
            writer.record(&records()[0]).unwrap();
        }
        writer.flush().unwrap();
        assert!((3..100).contains(&writer.out.0), "{}", writer.out.0);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        replace(&file, b"one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replaceable(&link).unwrap();
        let before = File::open(&file).unwrap();
        replace(&link, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(io::read_to_string(before).unwrap(), "one", "whoever reads it goes on with the old one");
        // What cannot be written leaves nothing behind.
        assert!(replace(&folder.path().join("none/file"), b"").is_err());
        assert!(replaceable(&folder.path().join("none/file")).is_err());
        assert!(replace(folder.path(), b"").is_err() && replaceable(folder.path()).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        // What is no file stays what it is.
        replace(Path::new("/dev/null"), b"nothing").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(replace(Path::new("/dev/full"), b"nothing").is_err());
    }

    #[test]
    fn a_recording_is_spared() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        // Of this version, and of a later one.
        for version in [1_u32, 77] {
            let text =
                [taskmonitor_recording::beginning().get(..8).unwrap(), &version.to_le_bytes(), b"more"].concat();
            fs::write(&file, &text).unwrap();
            for path in [&file, &link] {
                assert!(replace(path, b"").is_err() && replaceable(path).is_err() && create(path).is_err());
            }
            assert_eq!(fs::read(&file).unwrap(), text);
        }
        for other in ["", "\u{8b}TM", "time,pid\n"] {
            fs::write(&file, other).unwrap();
            create(&link).unwrap().write_all(b"new").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"new");
        }
        assert!(create(folder.path()).is_err());
    }

    #[test]
    fn no_number_that_is_none() {
        assert_eq!(Value::from(Some(f64::NAN)), Value::None);
        assert_eq!(Value::from(Some(f64::INFINITY)), Value::None);
    }

    #[test]
    fn decimals_are_rounded() {
        let text = |rate| {
            let mut line = String::new();
            decimal(&mut line, rate, 3);
            line
        };
        for (rate, shown) in
            [(0.0, "0.000"), (0.0004, "0.000"), (0.0006, "0.001"), (12.3456, "12.346"), (0.9999, "1.000")]
        {
            assert_eq!(text(rate), shown);
        }
        let mut line = String::new();
        for (value, digits) in [(0.05, 1), (99.996, 2), (7.0, 2)] {
            decimal(&mut line, value, digits);
        }
        assert_eq!(line, "0.1100.007.00");
        for rate in [0.05, 7.125, 99.99, 1234.5, 999_999_999_999.9, 1e12, 1e15, 1e300] {
            assert_eq!(text(rate), format!("{rate:.3}"));
        }
    }

    #[test]
    fn counts_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([many(1, "sample"), many(0, "sample")], ["1 sample", "0 samples"]);
    }

    #[test]
    fn memory_for_people() {
        let mib = 1 << 20;
        let cases = [(0, "0B"), (1023, "1023B"), (1024, "1.0KiB"), (mib - 1, "1.0MiB"), (mib, "1.0MiB")];
        for (count, text) in cases.into_iter().chain([(1023 * 1024, "1023.0KiB"), (u64::MAX, "16.0EiB")]) {
            assert_eq!(bytes(count), text);
        }
    }
}
