// SPDX-License-Identifier: GPL-2.0-only

//! Where things are in a picture, in pixels. Nothing here knows what is drawn there.

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Frame {
    pub fn right(&self) -> f64 {
        self.x + self.width
    }

    pub fn bottom(&self) -> f64 {
        self.y + self.height
    }

    /// The height at which `value` is, where `top` is at the upper edge.
    pub fn at(&self, value: f64, top: f64) -> f64 {
        // (What sticks out a little is seen to; not more, so that nothing ever lies on what is above.)
        self.bottom() - (value / top).clamp(0.0, 1.02) * self.height
    }
}

/// Of everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub width: f64,
    pub height: f64,
    /// Left edge of the titles.
    pub margin: f64,
    /// The lines on which the title and the facts stand.
    pub title: f64,
    pub facts: f64,
    /// Those of the legend.
    pub legend: Vec<f64>,
    /// Those of the panels' headings.
    pub headings: Vec<f64>,
    /// A panel for each task.
    pub cpu: Vec<Frame>,
    pub memory: Frame,
    /// That of those that have no place of their own.
    pub others: Option<Frame>,
    pub faults: Option<Frame>,
    /// Where the axis of time is, and the lines on which ticks and dates stand.
    pub axis: f64,
    pub ticks: f64,
    pub dates: f64,
    /// Where the labels beside the panels begin, and how wide they may be.
    pub labels: f64,
    pub room: f64,
}

/// What is in a picture.
#[derive(Clone, Copy, Debug)]
pub struct Contents {
    /// Panels of CPU usage.
    pub tasks: usize,
    /// Whether the last of them is of others, which have a panel of their own for memory, too.
    pub others: bool,
    /// Whether there are minor page faults.
    pub faults: bool,
    /// Lines of the legend.
    pub legend: usize,
}

/// How wide the labels of the axes are, and what is left of a panel for them.
const LEFT: f64 = 54.0;
/// Under each panel of CPU usage, for the marks of page faults.
pub const LANE: f64 = 8.0;
/// A line of the legend.
const LINE: f64 = 17.0;

impl Layout {
    /// `width` wide and, if that is given, `height` high; if that is not enough, gives what would be.
    pub fn new(width: u32, height: Option<u32>, contents: Contents) -> Result<Self, u32> {
        let Contents { tasks, others, faults, legend } = contents;
        let n = tasks.max(1) as f64;
        // As high as they are wanted, and as they must be.
        let wanted = match tasks {
            0 | 1 => (150.0, 116.0, 40.0),
            2 => (88.0, 110.0, 40.0),
            3 => (66.0, 110.0, 40.0),
            4 => (54.0, 110.0, 40.0),
            5 => (46.0, 110.0, 40.0),
            _ => (40.0, 14.0 * n + 8.0, 40.0),
        };
        let least = (26.0_f64, (14.0 * n + 2.0).max(48.0), 22.0_f64);
        let thin = if faults { (wanted.2, least.2) } else { (0.0, 0.0) };
        let (more, more_least) = if others { (36.0, 22.0) } else { (0.0, 0.0) };
        let between = LANE + 9.0;
        // All but the panels.
        let head = 48.0 + LINE * legend as f64;
        let extra = |is: bool, height: f64| if is { height } else { 0.0 };
        let fixed =
            head + 34.0 + between * (n - 1.0) + LANE + 34.0 + extra(others, 12.0) + extra(faults, 34.0) + 44.0;
        let (natural, lowest) =
            (n * wanted.0 + wanted.1 + thin.0 + more, n * least.0 + least.1 + thin.1 + more_least);
        let room = height.map_or(natural, |height| f64::from(height) - fixed);
        if room < lowest {
            return Err((fixed + lowest).ceil() as u32);
        }
        // Shares of what there is above the least.
        let part = (room - lowest) / (natural - lowest);
        let share = |wanted: f64, least: f64| least + (wanted - least) * part;
        let width = f64::from(width);
        let labels = if tasks > 1 { (0.25 * width).clamp(150.0, 205.0) } else { (0.17 * width).clamp(136.0, 150.0) };
        let x = LEFT;
        let plot = width - x - labels;
        let mut y = head + 34.0;
        let mut headings = vec![y - 10.0];
        let mut cpu = Vec::new();
        for i in 0..tasks.max(1) {
            y += if i > 0 { between } else { 0.0 };
            let frame = Frame { x, y, width: plot, height: share(wanted.0, least.0) };
            y = frame.bottom();
            cpu.push(frame);
        }
        y += LANE + 34.0;
        headings.push(y - 10.0);
        let memory = Frame { x, y, width: plot, height: share(wanted.1, least.1) };
        y = memory.bottom();
        let others = others.then(|| Frame { x, y: y + 12.0, width: plot, height: share(more, more_least) });
        y = others.map_or(y, |frame| frame.bottom());
        let faults = faults.then(|| {
            y += 34.0;
            headings.push(y - 10.0);
            Frame { x, y, width: plot, height: share(thin.0, thin.1) }
        });
        y = faults.map_or(y, |frame| frame.bottom());
        Ok(Self {
            width,
            height: height.map_or((y + 44.0).ceil(), f64::from),
            margin: 12.0,
            title: 24.0,
            facts: 42.0,
            legend: (0..legend).map(|i| 62.0 + LINE * i as f64).collect(),
            headings,
            cpu,
            memory,
            others,
            faults,
            axis: y,
            ticks: y + 17.0,
            dates: y + 32.0,
            labels: x + plot + 12.0,
            room: labels - 12.0 - 8.0,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_on_anything_else() {
        for tasks in 0..=8 {
            for (legend, faults, height) in
                [(1, true, None), (2, false, None), (3, true, Some(1000)), (1, true, Some(760))]
            {
                let contents = Contents { tasks, others: tasks == 8, faults, legend };
                let layout = Layout::new(800, height, contents).unwrap();
                let mut y = layout.legend.last().unwrap() + 4.0;
                let panels = layout.cpu.iter().chain([&layout.memory]).chain(&layout.others).chain(&layout.faults);
                for frame in panels {
                    assert!(frame.y >= y, "{layout:?}");
                    assert!(frame.height >= 20.0);
                    y = frame.bottom();
                }
                assert!(layout.dates + 4.0 <= layout.height, "{layout:?}");
                assert!(height.is_none_or(|height| (layout.height - f64::from(height)).abs() < 1e-6));
                assert!(layout.labels + layout.room <= layout.width);
            }
        }
    }

    #[test]
    fn too_low_says_what_would_do() {
        let contents = Contents { tasks: 3, others: false, faults: true, legend: 1 };
        let needed = Layout::new(800, Some(100), contents).unwrap_err();
        assert!(Layout::new(800, Some(needed - 1), contents).is_err());
        assert!(Layout::new(800, Some(needed), contents).is_ok());
    }

    #[test]
    fn heights() {
        let frame = Frame { x: 0.0, y: 10.0, width: 5.0, height: 100.0 };
        assert_eq!([0.0, 50.0, 100.0, 1e9].map(|value| frame.at(value, 100.0)), [110.0, 60.0, 10.0, 8.0]);
    }
}
