//! Running programs: loading files, binding arguments, choosing an engine, calling.

mod array;
pub mod bind;
mod device_array;
mod direct;
pub mod engine;
mod fast;
pub mod gtir;
pub mod load;
pub mod npz;
mod offload;
mod program;
pub mod settings;
pub mod tiers;

pub use array::{ArrayView, Element, ErasedArray, Number};
pub use device_array::{DeviceArray, synchronize};
pub use engine::{Engine, Options, Outcome, Prepared, Rehearsal, Stats};
pub use load::{Format, Loaded, load};
pub use program::{Call, Program, Report};
pub use settings::{Mode, Settings, Tier};
