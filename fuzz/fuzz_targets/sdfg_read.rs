//! Any bytes as an SDFG file: an error or a program that can be saved, read again, and saved as the same bytes.
//!
//! Good seeds are the files of `tests/data/sdfg`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::front::sdfg;

fuzz_target!(|bytes: &[u8]| {
    let _ = sdfg::is_sdfg(bytes);
    let Ok((program, _)) = sdfg::read(bytes) else { return };
    let saved = sdfg::write(&program, false);
    let (again, _) = sdfg::read(&saved).expect("what was saved can be read");
    assert_eq!(sdfg::write(&again, false), saved, "saving again gives the same file");
});
