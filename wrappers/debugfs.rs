// SPDX-License-Identifier: GPL-2.0

//! Files at the root of debugfs, to be read as a sequence and written to.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::{
    marker::PhantomData,
    ptr::null_mut, //
};

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    },
    ThisModule,
};

use super::seq_file;

/// What a file shows and does.
pub(crate) trait Operations: Send + Sync + 'static {
    /// What a reader goes through.
    type Sequence: seq_file::Sequence;

    /// Makes the iterator for one opening of the file.
    fn open(this: ArcBorrow<'_, Self>) -> Result<Self::Sequence>;

    /// Handles one `write()`; returns how many bytes of `data` it took. `first` tells that it is the
    /// first on this opening of the file.
    fn write(&self, data: UserSliceReader, first: bool) -> Result<usize>;
}

/// A file that is there until this is dropped.
///
/// # Invariants
///
/// - `dentry` is what `debugfs_create_file_full()` returned for `operations` and `data`.
/// - Both outlive every opening of the file: `operations` names this module as the owner, which
///   therefore cannot be unloaded while the file is open.
pub(crate) struct File<T: Operations> {
    dentry: *mut bindings::dentry,
    // Behind `dentry` (see `Drop`).
    _operations: KBox<bindings::file_operations>,
    _data: Arc<T>,
}

type Handlers<T> = seq_file::File<<T as Operations>::Sequence, Written<T>>;

/// Whether anything was written to an opened file.
pub(crate) struct Written<T> {
    any: Atomic<bool>,
    _file: PhantomData<fn() -> T>,
}

impl<T: Operations> File<T> {
    /// Creates the file `name`. It can be opened before this returns, so this must be the last step
    /// of loading that can fail: a module that fails to load is freed, open files or not.
    ///
    /// Where debugfs is switched off (`debugfs=off`), fails with `EPERM`.
    ///
    /// Context: may sleep. Wraps `debugfs_create_file_full()`.
    pub(crate) fn new(
        name: &CStr,
        mode: u16,
        module: &'static ThisModule,
        data: Arc<T>,
    ) -> Result<Self> {
        let operations = KBox::new(
            bindings::file_operations {
                owner: module.as_ptr(),
                open: Some(Self::open),
                read: Some(bindings::seq_read),
                write: Some(Self::write),
                llseek: Some(bindings::seq_lseek),
                release: Some(Handlers::<T>::release),
                ..pin_init::zeroed()
            },
            GFP_KERNEL,
        )?;

        // SAFETY: `name` is copied. The functions are for a pointer to a `T`, and it and they live
        // as long as the file. A NULL parent is the root.
        let dentry = from_err_ptr(unsafe {
            bindings::debugfs_create_file_full(
                name.as_char_ptr(),
                mode,
                null_mut(),
                Arc::as_ptr(&data).cast_mut().cast(),
                null_mut(),
                &*operations,
            )
        })?;

        // INVARIANT: Just created so.
        Ok(Self {
            dentry,
            _operations: operations,
            _data: data,
        })
    }

    /// # Safety
    ///
    /// To be called as `open` of a file that [`Self::new`] created.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // SAFETY: debugfs keeps what it was given there, a pointer from `Arc::as_ptr()` to what
            // the `File` holds, and debugfs_remove() waits for this call.
            let data = unsafe { ArcBorrow::from_raw((*inode).i_private.cast::<T>()) };
            let written = Written {
                any: Atomic::new(false),
                _file: PhantomData,
            };

            // SAFETY: This is `open`, and `release` is that of the handlers.
            unsafe { Handlers::<T>::open(file, T::open(data)?, written) }?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// To be called as `write` of a file that [`Self::new`] created.
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        buffer: *const c_char,
        len: usize,
        _: *mut bindings::loff_t,
    ) -> isize {
        from_result(|| {
            // SAFETY: As in `open`; a file that is written to is open, by `Handlers::open`.
            let (data, written) = unsafe {
                let inode = (*file).f_inode;
                (&*(*inode).i_private.cast::<T>(), Handlers::<T>::other(file))
            };
            let first = !written.any.xchg(true, Relaxed);
            let user = UserPtr::from_ptr(buffer.cast_mut().cast());
            let taken = data.write(UserSlice::new(user, len).reader(), first)?;
            // CAST: At most `len`, which the kernel limits to MAX_RW_COUNT.
            Ok(taken.min(len) as isize)
        })
    }
}

impl<T: Operations> Drop for File<T> {
    /// Context: may sleep. Wraps `debugfs_remove()`, which waits for calls that run.
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is what debugfs gave us.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}

// SAFETY: A dentry has no owner thread; the rest can be sent.
unsafe impl<T: Operations> Send for File<T> {}

// SAFETY: Nothing can be done with a shared `File`.
unsafe impl<T: Operations> Sync for File<T> {}
