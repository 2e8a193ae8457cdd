//! Any text as `.pel`: an error or a program whose printed form reads back to what prints the same.
//!
//! Good seeds are the files of `tests/filetests`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::front::pel;

fuzz_target!(|source: &str| {
    let Ok(program) = pel::parse(source) else { return };
    let printed = pel::print(&program);
    let again = pel::parse(&printed).expect("what was printed can be read");
    assert_eq!(pel::print(&again), printed, "printing again gives the same text");
});
