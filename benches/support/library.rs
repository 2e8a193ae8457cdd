//! Shared libraries of peers, opened at run time.

use std::ffi::{CStr, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// A shared library, open until the process ends.
#[derive(Clone, Copy)]
pub struct Library(*mut c_void);

impl Library {
    /// Opens a library by path, or by a name that the system looks up.
    ///
    /// # Safety
    /// What the library runs when it is loaded does no harm.
    pub unsafe fn open(name: &CStr) -> Option<Library> {
        // SAFETY: the name ends with a zero; the rest is the caller's word.
        let library = unsafe { dlopen(name.as_ptr(), 2) };
        (!library.is_null()).then_some(Library(library))
    }

    /// The address of a function.
    pub fn function(self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: the library is open.
        let found = unsafe { dlsym(self.0, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }
}
