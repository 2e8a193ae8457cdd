//! See `pelton::check::targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pelton::check::targets::Target::hold("chaos", bytes));
