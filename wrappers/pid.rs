// SPDX-License-Identifier: GPL-2.0

//! The kernel's notion of a process identifier.
//!
//! A `struct pid` is what a number means, in each PID namespace that can see it. It outlives the
//! task and is never given to another, so that it is safe to keep where a number is not.
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    current,
    pid_namespace::PidNamespace,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// Wraps `struct pid`.
///
/// # Invariants
///
/// Always counted: there is a reference wherever there is a `&Pid`.
#[repr(transparent)]
pub(crate) struct Pid(Opaque<bindings::pid>);

/// Tells a PID namespace from others, for as long as a [`Pid`] with a number in it is held.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamespaceId(usize);

impl From<&PidNamespace> for NamespaceId {
    fn from(namespace: &PidNamespace) -> Self {
        Self(namespace.as_ptr().addr())
    }
}

impl Pid {
    /// Finds what `nr` means in the current task's PID namespace.
    ///
    /// Context: process context. Wraps `find_get_pid()`.
    pub(crate) fn find(nr: i32) -> Option<ARef<Self>> {
        // One that has been released has no namespace any more, for which C does not look.
        current!().active_pid_ns()?;
        // SAFETY: Can be called with any number, by a task that has a namespace.
        let pid = unsafe { bindings::find_get_pid(nr) };
        let pid = NonNull::new(pid)?.cast();

        // SAFETY: `find_get_pid()` took a reference, which this takes over; `Pid` is transparent.
        Some(unsafe { ARef::from_raw(pid) })
    }

    /// The number that `namespace` has for it; 0 if it has none. Wraps `pid_nr_ns()`.
    pub(crate) fn number_in(&self, namespace: &PidNamespace) -> i32 {
        // SAFETY: Both are valid; only what never changes is read of them.
        unsafe { bindings::pid_nr_ns(self.as_ptr(), namespace.as_ptr()) }
    }

    /// All its numbers, each with the namespace that it is of, from the initial namespace down.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (NamespaceId, i32)> + '_ {
        // SAFETY: `self` is valid, and the level never changes.
        let level = unsafe { (*self.as_ptr()).level } as usize;
        (0..=level).map(move |i| {
            // SAFETY: A `struct pid` of level `n` has `n + 1` numbers behind it, that never change.
            let upid = unsafe { (*self.as_ptr()).numbers.as_ptr().add(i).read() };
            (NamespaceId(upid.ns.addr()), upid.nr)
        })
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::pid {
        self.0.get()
    }
}

// SAFETY: A `struct pid` is counted, belongs to no thread, and may be put by any.
unsafe impl Send for Pid {}

// SAFETY: What can be read of it never changes, or is protected by RCU.
unsafe impl Sync for Pid {}

// SAFETY: The count of a `struct pid` keeps it alive.
unsafe impl AlwaysRefCounted for Pid {
    fn inc_ref(&self) {
        // SAFETY: There is a reference, since there is a `&self`; `count` is a `refcount_t`.
        unsafe { bindings::refcount_inc(&raw mut (*self.as_ptr()).count) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference of its own.
        unsafe { bindings::put_pid(obj.cast().as_ptr()) };
    }
}
