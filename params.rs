// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.

use core::{
    num::NonZeroU32,
    ops::RangeInclusive, //
};

use kernel::{
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::kstrtobool,
    sync::Arc, //
};

use crate::{
    command::parse_pid,
    monitor::Monitor,
    wrappers::{
        mm,
        module_param::{
            self,
            Locked,
            LockedCell,
            Parameter, //
        },
    },
};

/// Most PIDs in `target`.
const MAX_TARGETS: usize = 128;

/// The tasks that are monitored from load on.
#[derive(Clone, Copy)]
pub(crate) struct Targets {
    pids: [i32; MAX_TARGETS],
    len: usize,
}

impl Targets {
    const NONE: Self = Self {
        pids: [0; MAX_TARGETS],
        len: 0,
    };

    /// Parses PIDs that are separated by commas. Anything else, or more than fit, is `EINVAL`.
    fn parse(value: &[u8]) -> Result<Self> {
        let mut targets = Self::NONE;
        for item in value.split(|byte| *byte == b',') {
            let place = targets.pids.get_mut(targets.len).ok_or(EINVAL)?;
            *place = parse_pid(item)?;
            targets.len += 1;
        }
        Ok(targets)
    }

    /// As many PIDs as there can be, each as long as it can be. For unit tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn longest() -> Self {
        Self {
            pids: [i32::MAX; MAX_TARGETS],
            len: MAX_TARGETS,
        }
    }

    /// The PIDs, in the order in which they were given.
    pub(crate) fn pids(&self) -> &[i32] {
        self.pids.get(..self.len).unwrap_or_default()
    }
}

/// PIDs as the parameter is written.
pub(crate) struct List<'a>(pub(crate) &'a [i32]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pid) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            write!(f, "{separator}{pid}")?;
        }
        Ok(())
    }
}

/// All parameters but `target`, each in its range.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) period_us: u32,
    pub(crate) max_samples: u32,
    pub(crate) max_tasks: u32,
    /// 0 until the default is known.
    pub(crate) max_mib: u32,
    pub(crate) reserve: u32,
    /// As it was given: once there is a monitor, that knows.
    pub(crate) sampling: bool,
}

impl Settings {
    /// The period, in microseconds.
    pub(crate) fn period(&self) -> NonZeroU32 {
        microseconds(self.period_us)
    }
}

static TARGETS: LockedCell<Targets> = LockedCell::new(Targets::NONE);

static SETTINGS: LockedCell<Settings> = LockedCell::new(Settings {
    period_us: 1_000_000,
    max_samples: 3600,
    max_tasks: 16384,
    max_mib: 0,
    reserve: 64,
    sampling: true,
});

/// The monitor, from the end of loading to the beginning of unloading: the files of the parameters
/// are there before and behind that.
static LIVE: LockedCell<Option<Arc<Monitor>>> = LockedCell::new(None);

/// The machine's memory, in MiB.
fn ram_mib() -> u32 {
    // CAST: PAGE_SIZE is at most 64 KiB, so the divisor is not 0.
    let mib = mm::total_pages() / ((1 << 20) / PAGE_SIZE as u64);
    u32::try_from(mib).unwrap_or(u32::MAX).max(1)
}

/// 5 % of it.
fn default_max_mib() -> u32 {
    (ram_mib() / 20).max(1)
}

fn microseconds(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

struct Target;

impl Parameter for Target {
    fn set(value: &CStr, lock: &mut Locked) -> Result {
        TARGETS.replace(lock, Targets::parse(value.to_bytes())?);
        Ok(())
    }

    fn get(lock: &mut Locked, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_fmt(fmt!("{}", List(TARGETS.get(lock).pids())))
    }
}

crate::parameter!(
    "target": Target, 0o400, "array of int",
    "tasks to monitor from load on, separated by commas \
     (PIDs, default none, 1 to 2147483647, at most 128 of them)"
);

struct Sampling;

impl Parameter for Sampling {
    const BARE: Option<&'static CStr> = Some(c"Y");

    fn set(value: &CStr, lock: &mut Locked) -> Result {
        let sampling = kstrtobool(value)?;
        match LIVE.get(lock) {
            Some(monitor) if sampling => monitor.start(),
            Some(monitor) => monitor.stop(),
            None => (),
        }
        let settings = *SETTINGS.get(lock);
        SETTINGS.replace(
            lock,
            Settings {
                sampling,
                ..settings
            },
        );
        Ok(())
    }

    fn get(lock: &mut Locked, out: &mut dyn fmt::Write) -> fmt::Result {
        let sampling = match LIVE.get(lock) {
            Some(monitor) => monitor.is_sampling(),
            None => SETTINGS.get(lock).sampling,
        };
        out.write_char(if sampling { 'Y' } else { 'N' })
    }
}

crate::parameter!(
    "sampling": Sampling, 0o644, "bool",
    "whether tasks are sampled, as the commands start and stop set it (default Y, Y or N)"
);

/// Makes `$type` the parameter of the field `$field`: a number in `$range`, which `$apply` tells a
/// monitor that is there.
macro_rules! number {
    ($type:ident, $name:literal, $mode:literal, $field:ident, $range:expr, $apply:expr, $text:literal) => {
        struct $type;

        impl Parameter for $type {
            fn set(value: &CStr, lock: &mut Locked) -> Result {
                let $field = module_param::parse_uint(value)?;
                let range: RangeInclusive<u32> = $range;
                if !range.contains(&$field) {
                    return Err(EINVAL);
                }
                if let Some(monitor) = LIVE.get(lock) {
                    let apply: fn(&Monitor, u32) -> Result = $apply;
                    apply(monitor, $field)?;
                }
                let settings = *SETTINGS.get(lock);
                SETTINGS.replace(lock, Settings { $field, ..settings });
                Ok(())
            }

            fn get(lock: &mut Locked, out: &mut dyn fmt::Write) -> fmt::Result {
                write!(out, "{}", SETTINGS.get(lock).$field)
            }
        }

        crate::parameter!($name: $type, $mode, "uint", $text);
    };
}

number!(
    PeriodUs,
    "period_us",
    0o644,
    period_us,
    100..=3_600_000_000,
    |monitor, number| {
        monitor.set_period(microseconds(number));
        Ok(())
    },
    "time between two samples of a task (microseconds, default 1000000, 100 to 3600000000)"
);

number!(
    MaxSamples,
    "max_samples",
    0o644,
    max_samples,
    1..=16_777_216,
    |monitor, number| {
        monitor.set_max_samples(number);
        Ok(())
    },
    "maximum number of samples kept and shown for each task \
     (samples, default 3600, 1 to 16777216)"
);

number!(
    MaxTasks,
    "max_tasks",
    0o444,
    max_tasks,
    1..=1_048_576,
    |_, _| Err(EPERM),
    "maximum number of tasks monitored at once (tasks, default 16384, 1 to 1048576)"
);

number!(
    MaxMib,
    "max_mib",
    0o644,
    max_mib,
    1..=ram_mib(),
    |monitor, number| {
        monitor.set_max_mib(number);
        Ok(())
    },
    "maximum memory of all blocks of samples together, without the reserve \
     (MiB, default 5 % of RAM, 1 to RAM)"
);

number!(
    Reserve,
    "reserve",
    0o644,
    reserve,
    1..=4096,
    |monitor, number| monitor.set_reserve(number),
    "blocks of samples held in reserve for when memory is short (blocks, default 64, 1 to 4096)"
);

/// The parameters as they were given at load. Context: may sleep.
pub(crate) fn at_load(module: &'static ThisModule) -> (Targets, Settings) {
    module_param::with_lock(module, |lock| {
        let mut settings = *SETTINGS.get(lock);
        if settings.max_mib == 0 {
            settings.max_mib = default_max_mib();
            SETTINGS.replace(lock, settings);
        }
        (*TARGETS.get(lock), settings)
    })
}

/// Returns the parameters that are in force. The monitor alone knows whether it samples.
///
/// # Context
///
/// May sleep; not from a parameter's own functions.
pub(crate) fn in_force(module: &'static ThisModule) -> (Targets, Settings) {
    module_param::with_lock(module, |lock| (*TARGETS.get(lock), *SETTINGS.get(lock)))
}

/// While this lives, parameters that are written take effect on the monitor.
pub(crate) struct Registration(&'static ThisModule);

impl Registration {
    /// `made` is what the monitor was made with. Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn new(
        module: &'static ThisModule,
        made: &Settings,
        monitor: &Arc<Monitor>,
    ) -> Result<Self> {
        module_param::with_lock(module, |lock| {
            // The files may have been written to since they were read.
            let now = *SETTINGS.get(lock);
            if now.period_us != made.period_us {
                monitor.set_period(now.period());
            }
            if now.max_samples != made.max_samples {
                monitor.set_max_samples(now.max_samples);
            }
            if now.max_mib != made.max_mib {
                monitor.set_max_mib(now.max_mib);
            }
            if now.reserve != made.reserve {
                monitor.set_reserve(now.reserve)?;
            }
            match (made.sampling, now.sampling) {
                (true, false) => monitor.stop(),
                (false, true) => monitor.start(),
                _ => (),
            }
            LIVE.replace(lock, Some(monitor.clone()));
            Ok(Self(module))
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let monitor = module_param::with_lock(self.0, |lock| LIVE.replace(lock, None));
        drop(monitor);
    }
}

#[kunit_tests(taskmonitor_params)]
mod tests {
    use super::*;

    use crate::{
        text::Line,
        wrappers::module_param::THIS_MODULE, //
    };

    /// Whether `value` is a list of these PIDs.
    fn is_list(value: &[u8], pids: &[i32]) -> bool {
        Targets::parse(value).is_ok_and(|targets| targets.pids() == pids)
    }

    /// The value of a parameter.
    fn value<P: Parameter>() -> Result<Line> {
        let mut line = Line::new();
        module_param::with_lock(&THIS_MODULE, |lock| P::get(lock, &mut line))
            .map_err(|_| EINVAL)?;
        Ok(line)
    }

    /// Whether each of `values` is refused with `EINVAL`, and changes nothing.
    fn refuses<P: Parameter>(values: &[&CStr]) -> Result<bool> {
        let before = value::<P>()?;
        for refused in values {
            let result = module_param::with_lock(&THIS_MODULE, |lock| P::set(refused, lock));
            if result != Err(EINVAL) || value::<P>()?.bytes() != before.bytes() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[test]
    fn targets_are_pids_in_the_given_order() {
        assert!(is_list(b"267", &[267]));
        assert!(is_list(b"267,300,312", &[267, 300, 312]));
        assert!(is_list(b"3,1,2", &[3, 1, 2]));
        assert!(is_list(b"5,5", &[5, 5]));
        assert!(is_list(b"2147483647", &[i32::MAX]));
        assert!(Targets::NONE.pids().is_empty());
    }

    #[test]
    fn targets_are_nothing_else() {
        for value in [
            b"".as_slice(),
            b",",
            b"1,",
            b",1",
            b"1,,2",
            b"1 ,2",
            b"1, 2",
            b"1\n",
            b"1;2",
            b"0",
            b"1,0",
            b"-1",
            b"+1",
            b"01",
            b"1-3",
            b"0x1",
            b"self",
            b"2147483648",
            b"1,18446744073709551617",
        ] {
            assert!(Targets::parse(value).is_err_and(|error| error == EINVAL));
        }
    }

    #[test]
    fn targets_are_up_to_128() {
        let mut list = [b'7'; 257];
        for comma in list.iter_mut().skip(1).step_by(2) {
            *comma = b',';
        }
        assert!(is_list(&list[..255], &[7; 128]));
        assert!(Targets::parse(&list).is_err_and(|error| error == EINVAL));
        assert!(Targets::parse(&list[..256]).is_err_and(|error| error == EINVAL));
    }

    #[test]
    fn a_list_is_written_as_it_is_given() {
        use fmt::Write as _;

        let mut line = Line::new();
        assert!(line.write_fmt(fmt!("{}", List(&[]))).is_ok());
        assert_eq!(line.bytes(), b"");
        assert!(line.write_fmt(fmt!("{}", List(&[7]))).is_ok());
        assert!(line.write_fmt(fmt!(" {}", List(&[3, 1, i32::MAX]))).is_ok());
        assert_eq!(line.bytes(), b"7 3,1,2147483647");
    }

    #[test]
    fn numbers_out_of_range_are_refused() -> Result {
        const HUGE: &CStr = c"4294967296";

        assert!(refuses::<PeriodUs>(&[
            c"0",
            c"99",
            c"3600000001",
            HUGE,
            c"",
            c"1s"
        ])?);
        assert!(refuses::<MaxSamples>(&[c"0", c"16777217", HUGE, c"-1"])?);
        assert!(refuses::<MaxTasks>(&[c"0", c"1048577", HUGE, c"x"])?);
        assert!(refuses::<MaxMib>(&[c"0", c"4294967295", HUGE, c"5%"])?);
        assert!(refuses::<Reserve>(&[c"0", c"4097", HUGE, c"1 2"])?);
        assert!(refuses::<Sampling>(&[c"", c"2", c"maybe"])?);
        assert!(refuses::<Target>(&[c"", c"0", c"1,"])?);
        Ok(())
    }

    #[test]
    fn a_part_of_memory_is_the_default() {
        let default = default_max_mib();
        assert!(default >= 1);
        assert!(default <= ram_mib());
        // 5 %, but for what is lost by rounding down.
        assert!(default == 1 || default * 20 <= ram_mib() && ram_mib() < default * 20 + 20);
    }

    #[test]
    fn a_period_is_never_zero() {
        assert_eq!(microseconds(0).get(), 1);
        assert_eq!(microseconds(100).get(), 100);
        assert_eq!(microseconds(u32::MAX).get(), u32::MAX);
    }
}
