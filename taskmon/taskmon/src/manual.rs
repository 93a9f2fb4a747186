// SPDX-License-Identifier: GPL-2.0-only

//! Manual pages and completions, made from the command line's definition.

use std::fs;
use std::io;
use std::io::Write;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::Roff;
use clap_mangen::roff::bold;
use clap_mangen::roff::roman;

use crate::Failure;
use crate::cli::Cli;
use crate::cli::Completions;
use crate::cli::Manual;

/// Date of the last change of the texts.
const DATE: &str = "2026-11-30";
/// How long a line of their source may be.
const WIDTH: usize = 80;

/// Writes the completions for a shell to stdout.
pub fn completions(args: &Completions) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), "taskmon", &mut text);
    let mut out = io::stdout();
    out.write_all(&text).and_then(|()| out.flush()).map_err(|e| Failure::output(&e))
}

/// Writes taskmon.1, taskmon-run.1, ... to a folder.
pub fn pages(args: &Manual) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::other(format!("cannot write to {}", args.folder.display()), e);
    fs::create_dir_all(&args.folder).map_err(failed)?;
    for (name, page) in all() {
        fs::write(args.folder.join(name), page).map_err(failed)?;
    }
    Ok(())
}

/// The command line without what is hidden. (Completions would have that, too.)
fn shown() -> clap::Command {
    let all = Cli::command();
    let text = |text: Option<&clap::builder::StyledStr>| text.cloned().unwrap_or_default();
    clap::Command::new("taskmon")
        .version(env!("CARGO_PKG_VERSION"))
        .about(text(all.get_about()))
        .long_about(text(all.get_long_about()))
        .after_help(text(all.get_after_help()))
        .subcommand_required(true)
        .subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}

/// All pages, by the names of their files.
fn all() -> Vec<(String, String)> {
    let mut cli = shown().disable_help_subcommand(true);
    cli.build();
    let mut commands = vec![&cli];
    commands.extend(cli.get_subcommands());
    let names: Vec<String> = commands.iter().map(|command| name(command)).collect();
    commands
        .into_iter()
        .zip(&names)
        .map(|(command, name)| {
            let others = names.iter().filter(|other| *other != name).map(String::as_str);
            (format!("{name}.1"), page(command, name, others))
        })
        .collect()
}

/// `taskmon-run`
fn name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page<'a>(command: &clap::Command, name: &str, others: impl Iterator<Item = &'a str>) -> String {
    let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone());
    let mut page = String::new();
    let source = format!("taskmon {}", env!("CARGO_PKG_VERSION"));
    section(&mut page, |roff| {
        roff.control("TH", [name.to_uppercase().as_str(), "1", DATE, &source, "taskmonitor"]);
        roff.control("SH", ["NAME"]);
        roff.text([roman(format!("{name} - {}", uncapitalised(&text(command.get_about()))))]);
    });
    section(&mut page, |roff| {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim().trim_start_matches("Usage: ");
        let called = command.get_bin_name().unwrap_or(name);
        roff.control("SH", ["SYNOPSIS"]);
        roff.text([bold(called), roman(usage.strip_prefix(called).unwrap_or(usage))]);
    });
    section(&mut page, |roff| {
        let (about, long) = (text(command.get_about()), text(command.get_long_about()));
        // What NAME says need not be said again, unless it is all there is.
        let more = long.strip_prefix(&about).map(str::trim_start).filter(|more| !more.is_empty());
        roff.control("SH", ["DESCRIPTION"]);
        paragraphs(roff, more.unwrap_or(&about));
    });
    let mut part = |render: &dyn Fn(&Man, &mut dyn Write) -> io::Result<()>| {
        let mut bytes = Vec::new();
        // (It goes to memory.)
        let _ = render(&man, &mut bytes);
        page.push_str(&String::from_utf8_lossy(&bytes));
    };
    part(&|man, out| man.render_options_section(out));
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        part(&|man, out| man.render_subcommands_section(out));
    }
    section(&mut page, |roff| {
        for block in text(command.get_after_help()).split("\n\n").filter(|block| !block.trim().is_empty()) {
            after_help(roff, block);
        }
    });
    section(&mut page, |roff| {
        roff.control("SH", ["SEE ALSO"]);
        let mut inlines = Vec::new();
        for other in others {
            inlines.extend([bold(other), roman("(1), ")]);
        }
        inlines.extend([bold("taskmonitor"), roman("(4)")]);
        roff.text(inlines);
    });
    tidy(&page)
}

fn section(page: &mut String, write: impl FnOnce(&mut Roff)) {
    let mut roff = Roff::default();
    write(&mut roff);
    page.push_str(&roff.render());
}

fn paragraphs(roff: &mut Roff, text: &str) {
    for (i, paragraph) in text.split("\n\n").enumerate() {
        if i > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph.split_whitespace().collect::<Vec<_>>().join(" "))]);
    }
}

/// `Examples:` and lines of them, or `Exit status: ...`: a section of that name.
fn after_help(roff: &mut Roff, block: &str) {
    let (head, body) = block.split_once(':').unwrap_or(("Notes", block));
    roff.control("SH", [head.trim().to_uppercase().as_str()]);
    if body.starts_with('\n') {
        roff.control("nf", []);
        for line in body.lines().filter(|line| !line.trim().is_empty()) {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
    } else {
        paragraphs(roff, body);
    }
}

/// What stands behind a name and a hyphen begins with a small letter, unless it is an abbreviation.
fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// What each part begins with comes once; lines are folded, but for those that mean something by where they end; what
/// stands between backticks is bold; and one empty line is enough.
fn tidy(page: &str) -> String {
    let mut tidied = String::from(".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n");
    let page = page.replace(".br\n\n.br\n", ".sp\n");
    let (mut filled, mut tag) = (true, false);
    for line in page.lines().filter(|line| !line.contains(".ds Aq ")) {
        let line = line.trim_end();
        match line {
            ".nf" => filled = false,
            ".fi" => filled = true,
            _ => {}
        }
        if line.is_empty() {
            tidied.push_str(".sp\n");
        } else if line.starts_with('.') || tag || !filled {
            tidied.push_str(line);
            tidied.push('\n');
        } else {
            fold(&mut tidied, &emphasised(line));
        }
        tag = line == ".TP";
    }
    tidied
}

fn emphasised(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    if parts.len() % 2 == 0 {
        return line.to_owned();
    }
    let wrapped = parts.iter().enumerate().map(|(i, part)| match i % 2 {
        0 => (*part).to_owned(),
        _ => format!("\\fB{part}\\fR"),
    });
    wrapped.collect()
}

fn fold(out: &mut String, line: &str) {
    let mut width = 0;
    for word in line.split(' ') {
        if width > 0 && width + 1 + word.len() > WIDTH {
            out.push('\n');
            width = 0;
            // These would make it a request.
            if word.starts_with(['.', '\'']) {
                out.push_str("\\&");
            }
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.len();
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    /// Former names of options, which only work.
    const FORMER: [&str; 4] = ["once", "every", "new", "limit"];

    #[test]
    fn every_command_has_a_page_and_what_is_hidden_is_in_none() {
        let pages = all();
        let commands = Cli::command().get_subcommands().filter(|command| !command.is_hide_set()).count();
        assert_eq!(pages.len(), commands + 1);
        for (name, page) in pages {
            assert!(!name.contains("manual"), "{name}");
            for hidden in ["\\-\\-root", "\\-\\-booted", "manual"] {
                assert!(!page.contains(hidden), "{name}: {hidden}");
            }
            let plain = page.replace("\\-", "-");
            for former in FORMER {
                assert!(!plain.contains(&format!("--{former}")), "{name}: --{former}");
            }
            assert!(!name.contains("export-csv") && !plain.contains("export-csv"), "{name}");
            for part in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"SEE ALSO\""] {
                assert_eq!(page.lines().filter(|line| *line == format!(".SH {part}")).count(), 1, "{name}: {part}");
            }
            assert!(!page.contains("EXTRA") && !page.contains('`'), "{name}");
        }
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut shown(), "taskmon", &mut text);
            let text = String::from_utf8_lossy(&text);
            assert!(text.contains("follow") && text.contains("doctor"), "{shell}");
            for hidden in ["root", "booted", "manual", "export-csv"] {
                assert!(!text.contains(hidden), "{shell}: {hidden}");
            }
            for former in FORMER {
                // (fish writes `-l NAME`.)
                let hidden = [format!("--{former}"), format!("-l {former}")];
                assert!(!hidden.iter().any(|option| text.contains(option)), "{shell}: {former}");
            }
        }
    }

    #[test]
    fn lines_are_folded_where_that_means_nothing() {
        let long = "word ".repeat(30);
        let page = tidy(&format!("{long}\n.TP\n{long}\n.nf\n{long}\n.fi\nno `bold text` there\n"));
        let lengths: Vec<usize> = page.lines().skip(2).map(str::len).collect();
        assert_eq!(lengths, [79, 69, 3, 149, 3, 149, 3, "no \\fBbold text\\fR there".len()]);
        let mut folded = String::new();
        fold(&mut folded, &format!("{} .prom", "x".repeat(WIDTH)));
        assert_eq!(folded.lines().nth(1), Some("\\&.prom"));
    }
}
