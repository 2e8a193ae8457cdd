//! On which processor a thread runs, as far as the system says so cheaply.

/// Where it does not.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// The processor that the calling thread runs on at this moment.
#[cfg(all(target_os = "linux", not(miri)))]
pub(super) fn current() -> u32 {
    unsafe extern "C" {
        safe fn sched_getcpu() -> std::ffi::c_int;
    }
    u32::try_from(sched_getcpu()).unwrap_or(UNKNOWN)
}

/// The processor that the calling thread runs on at this moment.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(super) fn current() -> u32 {
    UNKNOWN
}
