//! The machine code is made for: the host, as Cranelift sees it.

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};

use crate::diag::Diagnostic;

/// The host's instruction set with our settings.
pub fn host(optimize: bool) -> Result<OwnedTargetIsa, Diagnostic> {
    let failed = |what: String| Diagnostic::error("P0701", format!("no native code on this machine: {what}"));
    let mut flags = settings::builder();
    let wanted = [
        ("opt_level", if optimize { "speed" } else { "none" }),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("enable_probestack", "false"),
        ("is_pic", "false"),
        ("unwind_info", "false"),
        ("enable_alias_analysis", "true"),
    ];
    for (name, value) in wanted {
        flags.set(name, value).map_err(|error| failed(format!("setting {name}: {error}")))?;
    }
    let builder = cranelift_native::builder().map_err(|error| failed(error.to_owned()))?;
    builder.finish(settings::Flags::new(flags)).map_err(|error| failed(error.to_string()))
}
