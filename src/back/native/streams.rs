//! Routines that machine code calls for the queues of streams; see [`queues`](crate::kernel::queues).

use crate::kernel::LibraryCall;
use crate::kernel::queues::Operation;

use super::call::Frame;

/// A routine of library calls: 0, or not 0 when it failed.
type Routine = unsafe extern "C" fn(*mut Frame, *const LibraryCall, *const i64, i64) -> i64;

/// The routine behind a class of calls, if they work with queues.
pub(super) fn routine(class: &str) -> Option<*const u8> {
    let routine: Routine = match Operation::of(class)? {
        Operation::Open => open,
        Operation::Push => push,
        Operation::Pop => pop,
        Operation::Length => length,
        Operation::Append => append,
    };
    Some(routine as *const u8)
}

macro_rules! routines {
    ($($name:ident => |$streams:ident, $arguments:ident| $body:expr;)*) => {$(
        unsafe extern "C" fn $name(
            frame: *mut Frame,
            _: *const LibraryCall,
            arguments: *const i64,
            count: i64,
        ) -> i64 {
            // SAFETY: machine code passes the frame that `run` gave it, whose streams outlive the call; calls stand outside
            // parallel regions, so that only the thread that runs the kernel asks. It passes `count` arguments on its stack.
            let ($streams, $arguments) = unsafe {
                let count = usize::try_from(count).unwrap_or(0);
                (&mut *(*frame).streams, std::slice::from_raw_parts(arguments, count))
            };
            let done: Option<()> = $body;
            i64::from(done.is_none())
        }
    )*};
}

routines! {
    open => |streams, arguments| match *arguments {
        [stream, count, element, keeps] => streams.open(stream, count, element, keeps != 0),
        _ => None,
    };
    push => |streams, arguments| match *arguments {
        [stream, queue, address] => streams.element(stream).and_then(|element| {
            // SAFETY: lowering passes memory of an element of the stream.
            let bytes = unsafe { std::slice::from_raw_parts(address as usize as *const u8, element) };
            streams.push(stream, queue, bytes)
        }),
        _ => None,
    };
    pop => |streams, arguments| match *arguments {
        [stream, queue, count, address] => streams.element(stream).and_then(|element| {
            let bytes = element.checked_mul(usize::try_from(count).ok()?)?;
            // SAFETY: lowering passes memory of so many elements of the stream, which machine code alone knows.
            let bytes = unsafe { std::slice::from_raw_parts_mut(address as usize as *mut u8, bytes) };
            streams.pop(stream, queue, bytes)
        }),
        _ => None,
    };
    length => |streams, arguments| match *arguments {
        [stream, queue, address] => streams.length(stream, queue).map(|length| {
            // SAFETY: lowering passes memory of an `int64`.
            unsafe { (address as usize as *mut i64).write_unaligned(length) };
        }),
        _ => None,
    };
    append => |streams, arguments| match *arguments {
        [stream, queue, to, to_queue] => streams.append((stream, queue), (to, to_queue)),
        _ => None,
    };
}
