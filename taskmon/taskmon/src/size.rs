// SPDX-License-Identifier: GPL-2.0-only

//! Sizes as people write them.

/// A number of bytes: `4096`, `512KiB`, `64MiB`, `1.5GiB`. (A K, M or G alone means the same.) Zero is none.
pub fn size(text: &str) -> Result<u64, String> {
    let bad = || "expected a size such as 4096, 512KiB, 64MiB or 1.5GiB".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return Err(bad()),
    };
    let bytes = match number.parse::<u64>() {
        Ok(number) => number.checked_mul(1 << shift),
        // With a point. (Nobody means more bytes than an f64 tells apart.)
        Err(_) => {
            number.parse::<f64>().ok().map(|n| n * (1_u64 << shift) as f64).filter(|&b| b < 9e15).map(|b| b as u64)
        }
    };
    bytes.filter(|&bytes| bytes > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!((size("1KiB"), size("2M"), size("3 GiB")), (Ok(1024), Ok(2 << 20), Ok(3 << 30)));
        assert_eq!((size("1.5MiB"), size("0.5K")), (Ok(3 << 19), Ok(512)));
        for bad in ["", "KiB", "0", "0.0001", "-1", "1kib", "1 MB", "1..5M", "99999999T", "1e3", "nan", "1.5.1"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
