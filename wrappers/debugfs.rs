// SPDX-License-Identifier: GPL-2.0

//! Files at the root of debugfs, to be read as a sequence, and written to or polled.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::{
    marker::PhantomData,
    ptr,
    ptr::null_mut, //
};

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result, //
    },
    fs::File as OpenFile,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        poll::{
            PollCondVar,
            PollTable, //
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

use super::{
    seq_file,
    seq_file::{
        Sequence,
        Stream, //
    },
};

/// What a file shows.
pub(crate) trait Operations: 'static {
    /// What the file is about.
    type Data: Send + Sync + 'static;

    /// What a reader goes through.
    type Sequence: Sequence;

    /// Makes the iterator for one opening of the file.
    fn open(data: ArcBorrow<'_, Self::Data>) -> Result<Self::Sequence>;
}

/// What a file does that can be written to.
pub(crate) trait Write: Operations {
    /// Handles one `write()`; returns how many bytes of `input` it took. `first` tells that it is
    /// the first on this opening of the file.
    fn write(data: &Self::Data, input: UserSliceReader, first: bool) -> Result<usize>;
}

/// What a file does whose sequence goes on.
pub(crate) trait Follow: Operations<Sequence: Stream> {
    /// What is notified when there may be more to be read.
    fn news(data: &Self::Data) -> &PollCondVar;
}

/// The functions of a file.
///
/// # Invariants
///
/// They are to be called for a file whose private data is a pointer to an `O::Data` that outlives
/// the calls, and open behind `release`.
pub(crate) struct Functions<O> {
    table: bindings::file_operations,
    _of: PhantomData<fn() -> O>,
}

impl<O: Operations> Functions<O> {
    /// A file that can be read.
    pub(crate) fn read() -> Self {
        // INVARIANT: So are these.
        Self {
            table: bindings::file_operations {
                open: Some(open::<O>),
                read: Some(bindings::seq_read),
                llseek: Some(bindings::seq_lseek),
                release: Some(Handlers::<O>::release),
                ..pin_init::zeroed()
            },
            _of: PhantomData,
        }
    }

    /// A file that can be read and written to.
    pub(crate) fn read_write() -> Self
    where
        O: Write,
    {
        let mut functions = Self::read();
        // INVARIANT: So is this.
        functions.table.write = Some(write::<O>);
        functions
    }

    /// A file that can be read on and on, and polled.
    pub(crate) fn follow() -> Self
    where
        O: Follow,
    {
        let mut functions = Self::read();
        // INVARIANT: So are these; a stream is opened as one.
        functions.table.open = Some(open_stream::<O>);
        functions.table.llseek = Some(Handlers::<O>::seek_stream);
        functions.table.poll = Some(poll::<O>);
        functions
    }
}

/// A file that is there until this is dropped.
///
/// It cannot be opened before its module is loaded: a module that fails to load is freed, open files
/// or not.
///
/// # Invariants
///
/// - `dentry` is what `debugfs_create_file_full()` returned for `functions` and `data`.
/// - Both outlive every opening of the file: the functions name this module as the owner, which
///   therefore cannot be unloaded while the file is open.
pub(crate) struct File<O: Operations> {
    dentry: *mut bindings::dentry,
    // Behind `dentry` (see `Drop`).
    _functions: KBox<Functions<O>>,
    _data: Arc<O::Data>,
}

type Handlers<O> = seq_file::File<<O as Operations>::Sequence, Written>;

/// Whether anything was written to an opened file.
pub(crate) struct Written(Atomic<bool>);

impl<O: Operations> File<O> {
    /// Creates the file `name`. Where there is no debugfs, fails with `EPERM` (`debugfs=off`) or
    /// `ENODEV` (not built).
    ///
    /// Context: may sleep. Wraps `debugfs_create_file_full()`.
    pub(crate) fn new(
        name: &CStr,
        mode: u16,
        module: &'static ThisModule,
        functions: Functions<O>,
        data: Arc<O::Data>,
    ) -> Result<Self> {
        let mut functions = KBox::new(functions, GFP_KERNEL)?;
        functions.table.owner = module.as_ptr();

        // SAFETY: `name` is copied. The functions are for a pointer to such data, and it and they
        // live as long as the file. A NULL parent is the root.
        let dentry = from_err_ptr(unsafe {
            bindings::debugfs_create_file_full(
                name.as_char_ptr(),
                mode,
                null_mut(),
                Arc::as_ptr(&data).cast_mut().cast(),
                null_mut(),
                &functions.table,
            )
        })?;

        // INVARIANT: Just created so.
        Ok(Self {
            dentry,
            _functions: functions,
            _data: data,
        })
    }
}

/// The data of an open file.
///
/// # Safety
///
/// To be called in a function of a [`File`], with its inode.
unsafe fn data<'a, O: Operations>(inode: *mut bindings::inode) -> ArcBorrow<'a, O::Data> {
    // SAFETY: debugfs keeps what it was given there, a pointer from `Arc::as_ptr()` to what the
    // `File` holds, and debugfs_remove() waits for calls that run.
    unsafe { ArcBorrow::from_raw((*inode).i_private.cast::<O::Data>()) }
}

/// Makes what belongs to an opening.
///
/// # Safety
///
/// To be called in `open` of a [`File`].
unsafe fn begin<O: Operations>(inode: *mut bindings::inode) -> Result<(O::Sequence, Written)> {
    // SAFETY: This is the module that owns the functions, which is there while its code runs; its
    // state changes while it loads.
    let state = unsafe { ptr::read_volatile(&raw const bindings::__this_module.state) };
    if state != bindings::module_state_MODULE_STATE_LIVE {
        return Err(EAGAIN);
    }
    // SAFETY: By this function's own contract.
    let sequence = O::open(unsafe { data::<O>(inode) })?;
    Ok((sequence, Written(Atomic::new(false))))
}

/// # Safety
///
/// To be called as `open` of a [`File`].
unsafe extern "C" fn open<O: Operations>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    from_result(|| {
        // SAFETY: This is `open`, and `release` is that of the handlers.
        unsafe {
            let (sequence, written) = begin::<O>(inode)?;
            Handlers::<O>::open(file, sequence, written)?;
        }
        Ok(0)
    })
}

/// # Safety
///
/// To be called as `open` of a [`File`].
unsafe extern "C" fn open_stream<O: Follow>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    from_result(|| {
        // SAFETY: As in `open`.
        unsafe {
            let (sequence, written) = begin::<O>(inode)?;
            Handlers::<O>::open_stream(file, sequence, written)?;
        }
        Ok(0)
    })
}

/// # Safety
///
/// To be called as `write` of a [`File`].
unsafe extern "C" fn write<O: Write>(
    file: *mut bindings::file,
    buffer: *const c_char,
    len: usize,
    _: *mut bindings::loff_t,
) -> isize {
    from_result(|| {
        // SAFETY: As in `open`; a file that is written to is open, by `Handlers::open`.
        let (data, written) = unsafe {
            (
                data::<O>((*file).f_inode),
                Handlers::<O>::other(file), //
            )
        };
        let first = !written.0.xchg(true, Relaxed);
        let user = UserPtr::from_ptr(buffer.cast_mut().cast());
        let taken = O::write(&data, UserSlice::new(user, len).reader(), first)?;
        // CAST: At most `len`, which the kernel limits to MAX_RW_COUNT.
        Ok(taken.min(len) as isize)
    })
}

/// # Safety
///
/// To be called as `poll` of a [`File`].
unsafe extern "C" fn poll<O: Follow>(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: As in `write`; `file` and `table` are valid for the call.
    unsafe {
        let data = data::<O>((*file).f_inode);
        PollTable::from_raw(table).register_wait(OpenFile::from_raw_file(file), O::news(&data));
        if Handlers::<O>::ready(file) {
            READABLE
        } else {
            0
        }
    }
}

/// `EPOLLIN | EPOLLRDNORM` of `include/uapi/linux/eventpoll.h`.
const READABLE: bindings::__poll_t = 0x1 | 0x40;

impl<O: Operations> Drop for File<O> {
    /// Context: may sleep. Wraps `debugfs_remove()`, which waits for calls that run.
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is what debugfs gave us.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}

// SAFETY: A dentry has no owner thread; the rest can be sent.
unsafe impl<O: Operations> Send for File<O> {}

// SAFETY: Nothing can be done with a shared `File`.
unsafe impl<O: Operations> Sync for File<O> {}
