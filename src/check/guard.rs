//! Running something that may panic or never end, without going down with it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Stack of the thread that runs; memory is only taken as it is used.
const STACK_BYTES: usize = 256 << 20;

/// How it ended.
#[derive(Debug)]
pub enum Guarded<T> {
    /// With a value.
    Done(T),
    /// With a panic, which is a defect; the message and the place.
    Panicked(String),
    /// Not within the time limit. The thread is left to itself.
    TimedOut,
}

/// Keeps panic messages for [`guarded`] instead of printing them. Affects the whole process.
pub fn capture_panics() {
    std::panic::set_hook(Box::new(|panic| {
        LAST_PANIC.with_borrow_mut(|last| *last = Some(panic.to_string().replace('\n', " ")));
    }));
}

/// Runs `work` in a thread of its own.
pub fn guarded<T: Send + 'static>(
    limit: Option<Duration>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Guarded<T> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().name("case".into()).stack_size(STACK_BYTES).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        let message = LAST_PANIC.take();
        // The receiver is gone if time was up.
        drop(sender.send(match result {
            Ok(value) => Guarded::Done(value),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Guarded::Panicked(message.or(text).unwrap_or_else(|| "panic".into()))
            }
        }));
    });
    if let Err(error) = thread {
        return Guarded::Panicked(format!("no thread could be started: {error}"));
    }
    let received = match limit {
        Some(limit) => receiver.recv_timeout(limit).map_err(|error| error == mpsc::RecvTimeoutError::Timeout),
        None => receiver.recv().map_err(|_| false),
    };
    match received {
        Ok(outcome) => outcome,
        Err(true) => Guarded::TimedOut,
        Err(false) => Guarded::Panicked("the thread ended without an answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_panics_and_endless_loops() {
        assert!(matches!(guarded(None, || 7), Guarded::Done(7)));
        let Guarded::Panicked(text) = guarded(None, || panic!("broken {}", 1)) else {
            panic!("no panic seen")
        };
        assert!(text.contains("broken 1"), "{text}");
        let limit = Some(Duration::from_millis(20));
        let slow = guarded(limit, || thread::sleep(Duration::from_secs(5)));
        assert!(matches!(slow, Guarded::TimedOut));
    }
}
