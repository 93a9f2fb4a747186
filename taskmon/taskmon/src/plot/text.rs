// SPDX-License-Identifier: GPL-2.0-only

//! Text in a picture: what may be in it, how wide it is, how numbers are said.

use crate::output::grouped;

/// The most characters of a name. (A task's own has 15 bytes at most, a title may be a whole command line.)
const LONGEST: usize = 200;

/// `text`, fit for a picture and a terminal: tasks choose their names. What is invisible, or turns the direction of what
/// is around it, is shown as a replacement; so is what XML cannot hold.
pub fn clean(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}' | '\u{fffe}' | '\u{ffff}'
                | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..)
            || u32::from(c) & 0xfffe == 0xfffe
    };
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|c| {
            if odd(c) {
                char::REPLACEMENT_CHARACTER
            } else if c.is_whitespace() {
                ' '
            } else {
                c
            }
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Widths of the printable ASCII characters in thousandths of an em: those of DejaVu Sans, the widest of the fonts that a
/// picture asks for, so that what fits by these fits in the others, too.
#[rustfmt::skip]
const WIDTHS: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
    603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635,
    634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];
/// Of any other: Chinese characters have an em, the replacement character a little more.
const OTHER: u16 = 1150;
/// How much wider bold letters are at most.
const BOLD: f64 = 1.24;

fn advance(c: char) -> f64 {
    let width = u32::from(c).checked_sub(32).and_then(|i| WIDTHS.get(i as usize));
    f64::from(match c {
        '·' => 320,
        _ => *width.unwrap_or(&OTHER),
    }) / 1000.0
}

/// How wide `text` is at most, in letters of `size`.
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    text.chars().map(advance).sum::<f64>() * size * if bold { BOLD } else { 1.0 }
}

/// As much of the beginning of `text` as is `most` wide by `width`, with an ellipsis if that is not all.
pub fn fit(text: &str, most: f64, width: impl Fn(&str) -> f64, ellipsis: &str) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).collect();
    let shorter = |end: usize| format!("{}{ellipsis}", text.get(..end).unwrap_or_default().trim_end());
    let fitting = ends.partition_point(|&end| width(&shorter(end)) <= most);
    shorter(fitting.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0))
}

/// `7.3 %`, `43 %`
pub fn percent(value: f64) -> String {
    if value < 9.95 { format!("{value:.1} %") } else { format!("{} %", grouped(value.round() as u64)) }
}

/// `12.3 MiB`
pub fn memory(bytes: u64) -> String {
    let text = crate::output::bytes(bytes);
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    // Three digits are enough.
    let number = if number.len() > 4 { number.split_once('.').map_or(number, |(whole, _)| whole) } else { number };
    format!("{number} {unit}")
}

/// `250 us`, `1.5 s`, `12 min 30 s`, `3 h 5 min`, `12 d 7 h`
pub fn duration(ns: u64) -> String {
    let s = ns as f64 / 1e9;
    let three = |value: f64| match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    };
    let two = |whole: u64, unit: &str, part: u64, small: &str| match part {
        0 => format!("{whole} {unit}"),
        part => format!("{whole} {unit} {part} {small}"),
    };
    let whole = s.round() as u64;
    match s {
        s if s < 1e-3 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{} ms", three(s * 1e3)),
        s if s < 119.5 => format!("{} s", three(s)),
        s if s < 7199.5 => two(whole / 60, "min", whole % 60, "s"),
        s if s < 172_770.0 => two((whole + 30) / 3600, "h", (whole + 30) % 3600 / 60, "min"),
        _ => two((whole + 1800) / 86400, "d", (whole + 1800) % 86400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names() {
        assert_eq!(clean("a b\tc\u{1b}[31m<&\">ü漢"), "a b\u{fffd}c\u{fffd}[31m<&\">ü漢");
        assert_eq!(
            clean("\u{202e}evil\u{200f}\u{feff}\u{ffff}\u{1fffe}"),
            "\u{fffd}evil\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(clean(&"x".repeat(LONGEST)).len(), LONGEST);
        assert_eq!(clean(&"x".repeat(100_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn what_fits() {
        let columns = |text: &str| text.chars().count() as f64;
        assert_eq!(fit("abcdef", 6.0, columns, "…"), "abcdef");
        assert_eq!(fit("abcdef", 5.9, columns, "…"), "abcd…");
        assert_eq!(fit("ab  ef", 5.0, columns, "…"), "ab…");
        assert_eq!(fit("abcdef", 0.0, columns, "…"), "…");
        assert!(width("iii", 10.0, false) < width("mmm", 10.0, false));
        assert!(width("a", 10.0, false) < width("a", 10.0, true));
    }

    #[test]
    fn numbers() {
        assert_eq!(
            [percent(0.0), percent(9.94), percent(9.96), percent(1600.2)],
            ["0.0 %", "9.9 %", "10 %", "1,600 %"]
        );
        let mib = 1 << 20;
        assert_eq!([memory(0), memory(mib), memory(1000 * mib)], ["0 B", "1.0 MiB", "1000 MiB"]);
        let ms = 1_000_000;
        let shown = [250_000, 10 * ms, 1500 * ms, 100_000 * ms, 750_000 * ms].map(duration);
        assert_eq!(shown, ["250 us", "10.0 ms", "1.50 s", "100 s", "12 min 30 s"]);
        let hour = 3_600_000 * ms;
        assert_eq!([2 * hour, 49 * hour, 48 * hour].map(duration), ["2 h", "2 d 1 h", "2 d"]);
        assert_eq!(duration(0), "0 us");
    }
}
