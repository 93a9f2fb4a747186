// SPDX-License-Identifier: GPL-2.0

//! Shrinkers: caches that give memory back when the system is short of it.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    prelude::*,
    sync::Arc, //
};

/// What can shrink.
///
/// Both functions are called by whoever reclaims memory, in the midst of any allocation that may do
/// so: they must not take a lock under which such an allocation is made, nor make one themselves.
pub(crate) trait Shrink: Send + Sync {
    /// How many objects could be given back.
    fn count(&self) -> usize;

    /// Gives back up to `most` objects.
    ///
    /// Context: may sleep, but for a short while only.
    fn scan(&self, most: usize) -> Scanned;
}

/// What a scan did.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scanned {
    /// The objects that were gone through.
    pub(crate) scanned: usize,
    /// Those among them whose memory the system has again.
    pub(crate) freed: usize,
}

/// A shrinker that is called until this is dropped.
///
/// # Invariants
///
/// `ptr` is a registered shrinker that calls this type's functions, with a pointer to what `_data`
/// holds as its private data.
pub(crate) struct Registration<T: Shrink + 'static> {
    ptr: NonNull<bindings::shrinker>,
    _data: Arc<T>,
}

impl<T: Shrink + 'static> Registration<T> {
    /// Registers `data` as the shrinker `name` (in the debugfs of `CONFIG_SHRINKER_DEBUG`), with the
    /// cost `seeks` of getting an object again: 0 for those that need no I/O.
    ///
    /// Context: may sleep. Errors: `ENOMEM`. Wraps `shrinker_alloc()` and `shrinker_register()`.
    pub(crate) fn new(name: &CStr, seeks: i32, data: Arc<T>) -> Result<Self> {
        // SAFETY: The format takes one string, and copies it.
        let ptr = unsafe { bindings::shrinker_alloc(0, c"%s".as_char_ptr(), name.as_char_ptr()) };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        let shrinker = ptr.as_ptr();

        // SAFETY: Allocated above, and nobody else knows it before it is registered. The functions
        // are for a pointer to a `T`, which `data` keeps until the shrinker is gone.
        unsafe {
            (*shrinker).count_objects = Some(Self::count);
            (*shrinker).scan_objects = Some(Self::scan);
            (*shrinker).seeks = seeks;
            (*shrinker).private_data = Arc::as_ptr(&data).cast_mut().cast();
            bindings::shrinker_register(shrinker);
        }

        // INVARIANT: Just registered so.
        Ok(Self { ptr, _data: data })
    }

    /// # Safety
    ///
    /// `shrinker` must be one that [`Self::new`] registered, and not be freed during the call.
    unsafe fn data<'a>(shrinker: *mut bindings::shrinker) -> &'a T {
        // SAFETY: By this function's own contract: that is what the private data is.
        unsafe { &*(*shrinker).private_data.cast::<T>() }
    }

    /// # Safety
    ///
    /// To be called as `count_objects` of a shrinker that [`Self::new`] registered.
    unsafe extern "C" fn count(
        shrinker: *mut bindings::shrinker,
        _: *mut bindings::shrink_control,
    ) -> c_ulong {
        // SAFETY: By this function's own contract.
        match unsafe { Self::data(shrinker) }.count() {
            // CAST: A negative number there, seen as unsigned.
            0 => bindings::SHRINK_EMPTY as c_ulong,
            count => count,
        }
    }

    /// # Safety
    ///
    /// To be called as `scan_objects` of a shrinker that [`Self::new`] registered; `control` must be
    /// valid for the call.
    unsafe extern "C" fn scan(
        shrinker: *mut bindings::shrinker,
        control: *mut bindings::shrink_control,
    ) -> c_ulong {
        // SAFETY: By this function's own contract.
        let (data, most) = unsafe { (Self::data(shrinker), (*control).nr_to_scan) };
        let Scanned { scanned, freed } = data.scan(most);

        // SAFETY: By this function's own contract.
        unsafe { (*control).nr_scanned = scanned };
        if scanned == 0 {
            // There is nothing (any more): to ask again would be in vain.
            return bindings::SHRINK_STOP as c_ulong;
        }
        freed
    }
}

impl<T: Shrink + 'static> Drop for Registration<T> {
    /// Waits for calls that run. Context: may sleep. Wraps `shrinker_free()`.
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is a shrinker, which nobody frees but we.
        unsafe { bindings::shrinker_free(self.ptr.as_ptr()) };
    }
}

// SAFETY: A shrinker has no owner thread, and may be freed by any; what it calls is `Sync`.
unsafe impl<T: Shrink + 'static> Send for Registration<T> {}

// SAFETY: Nothing can be done with a shared registration.
unsafe impl<T: Shrink + 'static> Sync for Registration<T> {}
