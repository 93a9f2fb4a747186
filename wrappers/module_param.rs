// SPDX-License-Identifier: GPL-2.0

//! Module parameters that show in sysfs, may be arrays, and may be written to.
//!
//! What `module!` offers are single integers that can be set at load alone. [`crate::parameter!`] makes
//! what `module_param_cb()` makes in C.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use core::{
    cell::UnsafeCell,
    slice, //
};

use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::{
        CStr,
        Formatter, //
    },
    types::NotThreadSafe, //
};

/// Proof that the lock of the module's parameters is held by the current task: the kernel does so while
/// it calls [`Parameter::set`] and [`Parameter::get`].
pub(crate) struct Locked(NotThreadSafe);

/// This module, for unit tests, which nobody gives it: what `module!` calls it is not the same in all
/// kernels.
#[cfg(CONFIG_KUNIT = "y")]
// SAFETY: The module is there while its code runs.
pub(crate) static THIS_MODULE: ThisModule =
    unsafe { ThisModule::from_ptr((&raw const bindings::__this_module).cast_mut()) };

/// Runs `f` with the lock of this module's parameters held, so that none is set meanwhile.
///
/// Context: may sleep; not from a parameter's own functions. Wraps `kernel_param_lock()`.
pub(crate) fn with_lock<R>(module: &'static ThisModule, f: impl FnOnce(&mut Locked) -> R) -> R {
    // SAFETY: The module is loaded, since its code runs.
    unsafe { bindings::kernel_param_lock(module.as_ptr()) };
    let result = f(&mut Locked(NotThreadSafe));
    // SAFETY: Locked above.
    unsafe { bindings::kernel_param_unlock(module.as_ptr()) };
    result
}

/// A variable that the lock of the module's parameters protects.
pub(crate) struct LockedCell<T>(UnsafeCell<T>);

impl<T> LockedCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Borrows the value for as long as the lock is proven to be held.
    pub(crate) fn get<'a>(&'a self, _: &'a Locked) -> &'a T {
        // SAFETY: Whoever borrows mutably has the one `Locked` mutably, so not meanwhile.
        unsafe { &*self.0.get() }
    }

    /// Sets the value and returns the former one.
    pub(crate) fn replace(&self, _: &mut Locked, value: T) -> T {
        // SAFETY: The one `Locked` is borrowed mutably, so nobody borrows the value.
        unsafe { core::mem::replace(&mut *self.0.get(), value) }
    }
}

// SAFETY: One thread at a time has the lock, and with it the value.
unsafe impl<T: Send> Sync for LockedCell<T> {}

/// The functions of a parameter.
pub(crate) trait Parameter {
    /// What its name without a value means; without this, that is an error.
    const BARE: Option<&'static CStr> = None;

    /// `flags` of its `struct kernel_param_ops`.
    const FLAGS: c_uint = match Self::BARE {
        Some(_) => bindings::KERNEL_PARAM_OPS_FL_NOARG,
        None => 0,
    };

    /// Sets it from `value`: at load, or when its file is written to, before the module's `init` and
    /// behind its `exit`, too.
    fn set(value: &CStr, lock: &mut Locked) -> Result;

    /// Writes its value, as it would be given.
    fn get(lock: &mut Locked, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// Parses an unsigned number as the kernel's own parameters do. Malformed and out of range: `EINVAL`.
///
/// Wraps `kstrtouint()`.
pub(crate) fn parse_uint(value: &CStr) -> Result<u32> {
    let mut number = 0;
    // SAFETY: `value` is NUL-terminated, and `number` valid for the call.
    to_result(unsafe { bindings::kstrtouint(value.as_char_ptr(), 0, &mut number) })
        .map_err(|_| EINVAL)?;
    Ok(number)
}

/// `set` of a `struct kernel_param_ops`.
///
/// # Safety
///
/// `value` must be NULL or NUL-terminated, and the lock of the module's parameters held.
pub(crate) unsafe extern "C" fn set<P: Parameter>(
    value: *const c_char,
    _: *const bindings::kernel_param,
) -> c_int {
    from_result(|| {
        let value = if value.is_null() {
            P::BARE.ok_or(EINVAL)?
        } else {
            // SAFETY: Not NULL, hence NUL-terminated by this function's own contract.
            unsafe { CStr::from_char_ptr(value) }
        };
        P::set(value, &mut Locked(NotThreadSafe))?;
        Ok(0)
    })
}

/// `get` of a `struct kernel_param_ops`: the value, and a newline.
///
/// # Safety
///
/// `buffer` must be valid for a page, and the lock of the module's parameters held.
pub(crate) unsafe extern "C" fn get<P: Parameter>(
    buffer: *mut c_char,
    _: *const bindings::kernel_param,
) -> c_int {
    from_result(|| {
        // SAFETY: By this function's own contract; the page is initialised, and nobody else's.
        let page = unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), PAGE_SIZE) };
        let mut out = Formatter::new(page);
        P::get(&mut Locked(NotThreadSafe), &mut out).map_err(|_| EOVERFLOW)?;
        fmt::Write::write_str(&mut out, "\n").map_err(|_| EOVERFLOW)?;
        // CAST: At most a page.
        Ok(out.bytes_written() as c_int)
    })
}

/// Makes `bindings::kernel_param` [`Sync`].
#[repr(transparent)]
pub(crate) struct KernelParam(pub(crate) bindings::kernel_param);

// SAFETY: Only C code uses it, which never writes to it.
unsafe impl Sync for KernelParam {}

/// Makes `bindings::kernel_param_ops` [`Sync`].
#[repr(transparent)]
pub(crate) struct KernelParamOps(pub(crate) bindings::kernel_param_ops);

// SAFETY: As above.
unsafe impl Sync for KernelParamOps {}

/// Puts a string into the `.modinfo` section, which `modinfo` shows.
#[macro_export]
macro_rules! modinfo {
    ($($text:expr),+ $(,)?) => {
        const _: () = {
            const TEXT: &[u8] = concat!($($text,)+ "\0").as_bytes();

            #[link_section = ".modinfo"]
            #[used(compiler)]
            static INFO: [u8; TEXT.len()] = {
                let mut info = [0; TEXT.len()];
                let mut i = 0;
                while i < TEXT.len() {
                    info[i] = TEXT[i];
                    i += 1;
                }
                info
            };
        };
    };
}

/// Makes the type `$type`, a `Parameter`, the parameter `$name` with a file of mode `$mode`.
#[macro_export]
macro_rules! parameter {
    ($name:literal: $type:ty, $mode:literal, $kind:literal, $description:literal) => {
        $crate::modinfo!("parmtype=", $name, ":", $kind);
        $crate::modinfo!("parm=", $name, ":", $description);

        const _: () = {
            static OPS: $crate::wrappers::module_param::KernelParamOps =
                $crate::wrappers::module_param::KernelParamOps(
                    ::kernel::bindings::kernel_param_ops {
                        flags: <$type as $crate::wrappers::module_param::Parameter>::FLAGS,
                        set: Some($crate::wrappers::module_param::set::<$type>),
                        get: Some($crate::wrappers::module_param::get::<$type>),
                        free: None,
                    },
                );

            #[link_section = "__param"]
            #[used(compiler)]
            static PARAM: $crate::wrappers::module_param::KernelParam =
                $crate::wrappers::module_param::KernelParam(::kernel::bindings::kernel_param {
                    name: concat!($name, "\0").as_ptr().cast(),
                    mod_: (&raw const ::kernel::bindings::__this_module).cast_mut(),
                    ops: (&raw const OPS).cast(),
                    perm: $mode,
                    level: -1,
                    flags: 0,
                    __bindgen_anon_1: ::kernel::bindings::kernel_param__bindgen_ty_1 {
                        arg: ::core::ptr::null_mut(),
                    },
                });
        };
    };
}

#[kunit_tests(taskmonitor_module_param)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_kstrtouint() {
        assert_eq!(parse_uint(c"0"), Ok(0));
        assert_eq!(parse_uint(c"100\n"), Ok(100));
        assert_eq!(parse_uint(c"4294967295"), Ok(u32::MAX));
        assert_eq!(parse_uint(c"0x10"), Ok(16));
        assert_eq!(parse_uint(c"010"), Ok(8));
    }

    #[test]
    fn any_other_value_is_invalid() {
        for value in [
            c"",
            c"\n",
            c" 1",
            c"1 ",
            c"1\n\n",
            c"-1",
            c"1.5",
            c"0x",
            c"one",
            // These are ERANGE there.
            c"4294967296",
            c"18446744073709551617",
        ] {
            assert_eq!(parse_uint(value), Err(EINVAL));
        }
    }
}
