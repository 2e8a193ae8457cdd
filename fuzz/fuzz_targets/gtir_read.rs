//! Any bytes as GTIR, JSON or text: an error or a program whose printed form reads back to what prints the same.
//!
//! Good seeds are `program.gtir.json.gz` and `program.gtir.txt` of GTIR cases.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::front::gtir::{json, print, text};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(program) = json::read(bytes) {
        // JSON may hold names that text cannot, so this may fail, but not panic.
        let _ = text::read(&print::print(&program));
    }
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let Ok(program) = text::read(source) else { return };
    let printed = print::print(&program);
    let again = text::read(&printed).expect("what was printed can be read");
    assert_eq!(print::print(&again), printed, "printing again gives the same text");
});
